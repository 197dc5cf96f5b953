"""Floor 0, the nouns: frozen values that decide nothing and import only the standard library and one another."""
