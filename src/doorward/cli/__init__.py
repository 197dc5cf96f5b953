"""Floor 6: one file per command group. Commands act through the store, not through a process."""
