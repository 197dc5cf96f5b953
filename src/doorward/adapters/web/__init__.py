"""Doorward's own HTTP endpoints: they translate requests for the service and hold no rule of their own."""
