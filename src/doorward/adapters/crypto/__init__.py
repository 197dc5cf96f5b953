"""Keys, signatures and hashes behind the ports: algorithms come from the rules, never from what a peer sent."""
