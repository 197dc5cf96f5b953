"""Floor 6: test helpers that ship. They fake time and chance, and nothing that Doorward runs imports them."""
