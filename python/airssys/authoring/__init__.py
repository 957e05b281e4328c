"""From an idea to a component: projects, builds, and what a language needs for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airssys._lazy import lazily

if TYPE_CHECKING:
    from airssys.authoring.build import Built, build
    from airssys.authoring.errors import (
        AuthoringError,
        BuildFailed,
        NoProject,
        NotOffered,
        NotWritten,
        ToolchainMissing,
        WitError,
    )
    from airssys.authoring.new import new_project, templates
    from airssys.authoring.project import Project, find_project
    from airssys.authoring.scripts import script
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "build": ("Built", "build"),
            "errors": (
                "AuthoringError",
                "BuildFailed",
                "NoProject",
                "NotOffered",
                "NotWritten",
                "ToolchainMissing",
                "WitError",
            ),
            "new": ("new_project", "templates"),
            "project": ("Project", "find_project"),
            "scripts": ("script",),
        },
    )

__all__ = [
    "AuthoringError",
    "BuildFailed",
    "Built",
    "NoProject",
    "NotOffered",
    "NotWritten",
    "Project",
    "ToolchainMissing",
    "WitError",
    "build",
    "find_project",
    "new_project",
    "script",
    "templates",
]
