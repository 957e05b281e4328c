"""What can be wrong with a manifest."""

from __future__ import annotations

from airssys.errors import AirsSysError

__all__ = ["ManifestError"]


class ManifestError(AirsSysError):
    """A manifest cannot be used; `context` has `file`, `line` and `column` where they are known."""

    default_code = "manifest-invalid"
