"""Sinks for audit events: they write what they are given, already masked, and never hold up a handshake."""
