"""One file per kind of credential: what an answer about it proves, and why not."""
