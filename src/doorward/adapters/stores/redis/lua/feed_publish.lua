-- What is durable is told to every node.
return publish()
