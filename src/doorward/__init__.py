"""Doorward: a WebSocket authentication gateway that stays on duty on the live connection."""

__version__ = "0.1.0"
