"""New versions under load: one that is good, one that is not, and the ways back."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from airssys.wasm import Analysis, Bounds, Canary
from examples.demo.telling import chapter, fail, shown, tell

if TYPE_CHECKING:
    from airssys.wasm.delivery.records import RolloutStatus
    from examples.demo.load import Load
    from examples.demo.server import Server

BUILT: Final = Path(__file__).parents[2] / "build" / "components"
FAULTY: Final = Path(__file__).with_name("calculator-1-2.wat")
#: Evidence of few calls, so that a rollout takes seconds: the defaults want more, and take minutes.
#: On a machine that compiles beside it, both revisions are slow at times: 50 ms do not matter here.
ANALYSIS: Final = Analysis(min_calls=300, slower_by=0.05)
#: Nothing but the test decides; by default one trap is enough where the live revision had none.
CANARY: Final = Canary(
    steps=(25, 50),
    step_duration=1.0,
    analysis=ANALYSIS,
    bounds=Bounds(traps=None, past=None),
)


def moved(load: Load, calculator: Any, file: Path, during: str, *, trial: bool) -> RolloutStatus:
    """Try a new version on a growing share of the calls until it has won or lost."""
    phase = load.enter(during, trial=trial)
    began = time.perf_counter()
    rollout = calculator.deploy(file, strategy=CANARY, wait=False, why="the demo")
    for step in rollout.events():
        tell(f"{step.kind} at {step.weight:.0%}{f': {step.why}' if step.why else ''}")
    phase.took = time.perf_counter() - began
    status: RolloutStatus = rollout.status()
    return status


def good_canary(load: Load, calculator: Any, steady: float) -> None:
    """Let version 1.1 take over by evidence."""
    chapter("a canary of a good version: calculator 1.0 -> 1.1")
    status = moved(load, calculator, BUILT / "calculator-1-1.wasm", "canary 1.0 > 1.1", trial=False)
    if status.state != "promoted":
        raise fail(f"the good version was {status.state}: {status.why}")
    load.enter("after")
    time.sleep(steady)


def bad_canary(load: Load, calculator: Any, steady: float) -> None:
    """Let version 1.2, which traps in one of twenty calls, be found out."""
    chapter("a canary of a bad version: calculator 1.1 -> 1.2, which traps in one of twenty calls")
    status = moved(load, calculator, FAULTY, "canary 1.1 > 1.2", trial=True)
    phase = load.phases[-1]
    if status.state != "taken-back" or calculator.revision.number != 2:
        raise fail(f"the bad version was {status.state}: {status.why}")
    load.enter("after")
    time.sleep(steady)
    tell(
        f"nobody was asked: {phase.trapped} of {phase.calls:,} calls met it"
        f" ({phase.trapped / phase.calls:.2%}), and none does any more"
    )


def blue_green(load: Load, calculator: Any, server: Server, steady: float) -> None:
    """Switch every call back at once, and forth again from the command line."""
    chapter("blue-green: back to 1.0 by a call, forth to 1.1 by a command")
    phase = load.enter("back to 1.0")
    began = time.perf_counter()
    calculator.rollback(to=1, why="the demo")
    phase.took = time.perf_counter() - began
    tell(f"rollback(to=1) recorded it, switched, and returned in {shown(phase.took)}")
    load.enter("after")
    time.sleep(steady)
    phase = load.enter("forth to 1.1")
    began = time.perf_counter()
    server.run("rollback", "demo/calculator", "--to", "2", "--why", "the demo")
    phase.took = time.perf_counter() - began
    tell(f"airssys rollback demo/calculator --to 2: {shown(phase.took)} with the process it is")
    load.enter("after")
    time.sleep(steady)
