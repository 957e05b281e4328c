"""What can be wrong with a rollout."""

from __future__ import annotations

from airssys.wasm.host_errors import HostError, InvalidSetting

__all__ = [
    "DependencyRefused",
    "DeploymentLocked",
    "InvalidStrategy",
    "ReplayDiffers",
    "RevisionCollected",
    "RolloutInProgress",
    "RolloutOver",
    "RolloutTakenBack",
    "ShadowUnsafe",
    "StrategyUnsupported",
]


class InvalidStrategy(InvalidSetting):
    """A strategy has a value that it cannot take."""

    default_code = "invalid-strategy"


class StrategyUnsupported(HostError):
    """The deployment cannot be moved by this strategy; the message says why."""

    default_code = "strategy-unsupported"


class ShadowUnsafe(StrategyUnsupported):
    """Copies of calls cannot be kept from having effects, or without these say nothing."""

    default_code = "shadow-unsafe"


class RolloutInProgress(HostError):
    """Another rollout of the deployment has not ended."""

    default_code = "rollout-in-progress"

    def __init__(self, name: str, revision: int) -> None:
        super().__init__(
            f"'{name}' is being moved to revision {revision}",
            hint="wait for that rollout, promote it, or abort it",
            name=name,
            revision=revision,
        )


class RolloutOver(HostError):
    """The rollout has ended; nothing can be done with it any more."""

    default_code = "rollout-over"


class RolloutTakenBack(HostError):
    """A new revision was taken back; the one that was live before is live."""

    default_code = "rollout-taken-back"


class DeploymentLocked(HostError):
    """The deployment, or the host, is locked against changes."""

    default_code = "deployment-locked"


class DependencyRefused(HostError):
    """What a component depends on is missing, or a dependant would break."""

    default_code = "dependency-refused"


class ReplayDiffers(HostError):
    """The new revision answers calls that were recorded otherwise; nothing has changed."""

    default_code = "replay-differs"


class RevisionCollected(HostError):
    """The component of an earlier revision was deleted, as the retention says."""

    default_code = "revision-collected"
