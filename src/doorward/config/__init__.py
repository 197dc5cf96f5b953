"""Floor 5: turns a file and the environment into running parts, or into every problem at once; never half of it."""
