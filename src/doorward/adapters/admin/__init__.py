"""The admin listener: metrics and health for all, everything else behind an admin token."""
