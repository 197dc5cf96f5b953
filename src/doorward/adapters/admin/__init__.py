"""The admin listener: metrics and health for all, everything else behind an admin token."""

from doorward.adapters.admin.api import Api
from doorward.adapters.admin.app import AdminApp

__all__ = ["AdminApp", "Api"]
