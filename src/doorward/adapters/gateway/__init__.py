"""The gateway's hands: it moves bytes and asks; it decides nothing about who may enter or stay."""
