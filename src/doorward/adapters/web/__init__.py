"""Doorward's own HTTP endpoints: they translate requests for the service and hold no rule of their own."""

from doorward.adapters.web.app import WebApp
from doorward.adapters.web.health import Readiness
from doorward.adapters.web.pages import Page

__all__ = ["Page", "Readiness", "WebApp"]
