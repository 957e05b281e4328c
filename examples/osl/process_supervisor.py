"""Keep a program running: restart it when it fails, end it in order, leave nothing behind.

    python examples/osl/process_supervisor.py

The worker fails twice and then works. The supervisor reads its output as it comes, restarts it
with growing pauses, and ends it with a signal once it has said that it is ready.
"""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from pathlib import Path

from airssys import osl
from airssys.osl import OSL, Backoff, Principal

SHELL = os.path.realpath("/bin/sh")

POLICY = f"""
[[rule]]
name = "the worker"
to = ["supervisor"]
kind = "process"
access = ["spawn", "signal", "wait"]
target = ["{SHELL}"]

[[rule]]
name = "its state"
to = ["supervisor"]
access = ["read", "list", "write", "create", "delete", "metadata"]
target = ["{{state}}/**"]
"""

WORKER = """
tries=0; [ -f tries ] && read tries < tries
tries=$((tries + 1)); echo $tries > tries
if [ $tries -lt 3 ]; then echo "try $tries fails"; exit 1; fi
trap 'echo "worker ends"; exit 0' TERM
echo "ready"
while :; do read nothing < fifo; done
"""


async def supervise(state: Path, *, restarts: int = 5) -> int:
    """Run the worker until it ends well; return how often it was started."""
    pauses = Backoff(minimum=0.01, maximum=0.1)
    for started in range(1, restarts + 2):
        worker = await osl.spawn(SHELL, "-c", WORKER, directory=state)
        async for line in worker.lines():
            print(f"worker {started}: {line.decode().rstrip()}")
            if line == b"ready\n":
                await worker.signal(signal.SIGTERM)
        status = await worker.wait()
        worker.release()
        if status.code == 0:
            return started
        await asyncio.sleep(pauses.pause(started))
    raise SystemExit(f"the worker failed {restarts + 1} times")


def main() -> None:
    """Run the supervisor."""
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary).resolve()
        state = home / "state"
        state.mkdir()
        os.mkfifo(state / "fifo")
        policy = home / "policy.toml"
        policy.write_text(POLICY.format(state=state))
        with OSL(policy=policy, audit=home / "audit") as system:
            with system.acting_as(Principal("supervisor")):
                started = asyncio.run(supervise(state))
            print(f"started {started} times, {len(system.children)} left")


if __name__ == "__main__":
    main()
