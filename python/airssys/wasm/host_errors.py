"""What can go wrong around a host and its state directory."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from airssys.errors import AirsSysError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "CallDrained",
    "ComponentDamaged",
    "DeploymentHeld",
    "DeploymentIsActor",
    "DeploymentIsNoActor",
    "DeploymentOverloaded",
    "HostClosed",
    "HostError",
    "InvalidDeploymentName",
    "InvalidSetting",
    "NothingToRollBackTo",
    "StateDirectoryDamaged",
    "StateDirectoryError",
    "StateDirectoryInUse",
    "StateDirectoryTooNew",
    "StateWriteFailed",
    "TrialOver",
    "TrialRunning",
    "UnknownDeployment",
    "UnknownRevision",
    "nearest",
]


def nearest(wanted: str, known: Iterable[str]) -> list[str]:
    """Return up to three of `known` that read like `wanted`, the most alike first."""
    return difflib.get_close_matches(wanted, sorted(set(known)), n=3, cutoff=0.5)


class HostError(AirsSysError):
    """A failure of the host or of what it keeps.

    Attributes:
        summary: What is wrong, without the next step.
        hint: The next step, or an empty string where there is none to give.
    """

    default_code = "host"

    def __init__(
        self, summary: str, *, hint: str = "", code: str | None = None, **context: object
    ) -> None:
        super().__init__(f"{summary}; {hint}" if hint else summary, code=code, **context)
        self.summary = summary
        self.hint = hint


class InvalidDeploymentName(HostError, ValueError):
    """A deployment's name breaks the rules for names."""

    default_code = "invalid-deployment-name"


class InvalidActorKey(HostError, ValueError):
    """No actor of a deployment can have this key."""

    default_code = "invalid-actor-key"


class InvalidSetting(HostError, ValueError):
    """A setting of a deployment has a value that it cannot take."""

    default_code = "invalid-setting"


class UnknownDeployment(HostError, LookupError):
    """No deployment has this name."""

    default_code = "unknown-deployment"

    def __init__(self, name: str, known: Iterable[str]) -> None:
        near = nearest(name, known)
        hint = f"did you mean {' or '.join(near)}?" if near else "`airssys list` shows the names"
        super().__init__(f"no deployment is named '{name}'", hint=hint, name=name, near=near)


class UnknownRevision(HostError, LookupError):
    """A deployment has no revision of this number."""

    default_code = "unknown-revision"

    def __init__(self, name: str, number: int, known: Iterable[int]) -> None:
        numbers = sorted(known)
        listed = ", ".join(map(str, numbers))
        super().__init__(
            f"'{name}' has no revision {number}",
            hint=f"its revisions are {listed}",
            name=name,
            revision=number,
            known=numbers,
        )


class NothingToRollBackTo(HostError):
    """The live revision replaced nothing."""

    default_code = "nothing-to-roll-back-to"


class DeploymentHeld(HostError):
    """A deployment takes no calls, because its live revision could not be brought back."""

    default_code = "deployment-held"


class DeploymentIsActor(HostError, TypeError):
    """A deployment of lifetime `actor` takes messages, not calls."""

    default_code = "deployment-is-actor"


class DeploymentIsNoActor(HostError, TypeError):
    """A deployment of another lifetime than `actor` takes calls, not messages."""

    default_code = "deployment-is-no-actor"


class DeploymentOverloaded(HostError):
    """Every instance of a pooled deployment is in use, and as many calls wait as may wait."""

    default_code = "deployment-overloaded"


class CallDrained(HostError):
    """A call was ended because its revision was replaced and the drain deadline has passed."""

    default_code = "call-drained"


class TrialRunning(HostError):
    """A deployment tries one revision at a time beside the live one."""

    default_code = "trial-running"


class TrialOver(HostError):
    """The trial of a revision was finished, or ended by another revision that was made live."""

    default_code = "trial-over"


class HostClosed(HostError):
    """The host, or the deployment, no longer takes calls."""

    default_code = "host-closed"


class StateDirectoryError(HostError):
    """A state directory cannot be used."""

    default_code = "state-directory"


class StateDirectoryInUse(StateDirectoryError):
    """Another process, or another host of this process, owns the state directory."""

    default_code = "state-directory-in-use"


class StateDirectoryTooNew(StateDirectoryError):
    """A newer version of AirsSys wrote the state directory."""

    default_code = "state-directory-too-new"


class StateDirectoryDamaged(StateDirectoryError):
    """What the state directory holds is not what AirsSys wrote."""

    default_code = "state-directory-damaged"


class StateWriteFailed(StateDirectoryError):
    """The system refused a write to the state directory; nothing of it took effect."""

    default_code = "state-write-failed"


class ComponentDamaged(StateDirectoryDamaged):
    """The bytes of a component are missing from the content store or no longer match its digest."""

    default_code = "component-damaged"
