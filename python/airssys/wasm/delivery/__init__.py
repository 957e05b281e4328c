"""Live delivery: strategies, rollouts that judge themselves, and what is recorded of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airssys._lazy import lazily

if TYPE_CHECKING:
    from airssys.wasm.delivery.analysis import Stage
    from airssys.wasm.delivery.errors import (
        DependencyRefused,
        DeploymentLocked,
        InvalidStrategy,
        ReplayDiffers,
        RevisionCollected,
        RolloutInProgress,
        RolloutOver,
        RolloutTakenBack,
        ShadowUnsafe,
        StrategyUnsupported,
    )
    from airssys.wasm.delivery.judging import Analysis, Evidence, Judgement, judge
    from airssys.wasm.delivery.records import RolloutChanged, RolloutStatus, RolloutStep
    from airssys.wasm.delivery.replay import Replay, ReplayDifference, ReplayReport
    from airssys.wasm.delivery.rollout import BlockingRollout, Rollout
    from airssys.wasm.delivery.strategies import (
        BlueGreen,
        Bounds,
        Canary,
        Judge,
        Recreate,
        Rolling,
        Shadow,
        Strategy,
    )
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "analysis": ("Stage",),
            "errors": (
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
            ),
            "judging": ("Analysis", "Evidence", "Judgement", "judge"),
            "records": ("RolloutChanged", "RolloutStatus", "RolloutStep"),
            "replay": ("Replay", "ReplayDifference", "ReplayReport"),
            "rollout": ("BlockingRollout", "Rollout"),
            "strategies": (
                "BlueGreen",
                "Bounds",
                "Canary",
                "Judge",
                "Recreate",
                "Rolling",
                "Shadow",
                "Strategy",
            ),
        },
    )

__all__ = [
    "Analysis",
    "BlockingRollout",
    "BlueGreen",
    "Bounds",
    "Canary",
    "DependencyRefused",
    "DeploymentLocked",
    "Evidence",
    "InvalidStrategy",
    "Judge",
    "Judgement",
    "Recreate",
    "Replay",
    "ReplayDifference",
    "ReplayDiffers",
    "ReplayReport",
    "RevisionCollected",
    "Rolling",
    "Rollout",
    "RolloutChanged",
    "RolloutInProgress",
    "RolloutOver",
    "RolloutStatus",
    "RolloutStep",
    "RolloutTakenBack",
    "Shadow",
    "ShadowUnsafe",
    "Stage",
    "Strategy",
    "StrategyUnsupported",
    "judge",
]
