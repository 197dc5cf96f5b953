"""Floor 1, the verbs: pure functions over values. No clock, no randomness, no logging, no async, no environment."""
