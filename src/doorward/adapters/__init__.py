"""Floor 4, the hands: each package wraps one outside thing and imports no other adapter."""
