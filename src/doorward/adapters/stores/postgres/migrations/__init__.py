"""The schema's history: numbered files, each applied once, in order, and never changed after it was released."""
