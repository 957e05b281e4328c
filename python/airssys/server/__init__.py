"""A host behind an HTTP API: `airssys serve`. Needs the extra `airssys[server]`."""

from __future__ import annotations

from airssys.server.http import read_route
from airssys.server.principals import Access, Principal, Role
from airssys.server.run import ServeSettings, serve

__all__ = ["Access", "Principal", "Role", "ServeSettings", "read_route", "serve"]
