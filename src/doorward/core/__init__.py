"""Floor 1, the verbs: pure functions of values. No clock, no chance, no logging, no async; time is an argument."""
