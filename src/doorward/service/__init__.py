"""Floor 3: the only asynchronous code that knows an order. It drives the core, and knows adapters only as ports."""
