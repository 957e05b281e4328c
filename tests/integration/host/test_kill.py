"""A host that is killed at any moment comes back with what it acknowledged."""

from __future__ import annotations

import itertools
import random
import signal
import time

from airssys.wasm.host import Host

DEPLOY_FOR_EVER = """
import sys
from airssys.wasm.host import Host
state, *components = sys.argv[1:]
with Host.open_blocking(state) as host:
    print("open", flush=True)
    calc = host.deploy(components[0], name="acme/calc")
    print(calc.revision.number, flush=True)
    while True:
        for component in components[1:] + components[:1]:
            calc.deploy(component)
            print(calc.revision.number, flush=True)
        calc.rollback()
        print(calc.revision.number, flush=True)
"""

LIVES = 20


def test_a_host_killed_during_deploys_loses_nothing_it_acknowledged(state, guest, python):
    """Kill it at random moments: during its opening, a deploy, a rollback, or between them."""
    moments = random.Random(8)
    components = [guest("calculator"), guest("calculator-1-1")]
    versions = {1: "1.0.0", 0: "1.1.0"}
    acknowledged = 0
    for life in range(LIVES):
        process = python(DEPLOY_FOR_EVER, state, *components)
        for _ in range(moments.randrange(1, 12)):
            if not process.stdout.readline():
                raise AssertionError(process.stderr.read())
        # Not to order anything: the moment within the next deploy is what varies.
        time.sleep(moments.random() * 0.02)
        process.send_signal(signal.SIGKILL)
        # Not `communicate`, which knows nothing of what `readline` has taken in advance.
        said = [int(line) for line in process.stdout.read().split() if line.isdigit()]
        process.wait()
        with Host.open_blocking(state) as host:
            if not host.deployments():
                assert not said, f"life {life}: an acknowledged deployment is gone"
                continue
            calc = host.deployment("acme/calc")
            history = calc.history()
            assert [each.number for each in history] == list(range(1, len(history) + 1))
            assert max([acknowledged, *said]) <= len(history)
            assert calc.held is None
            # What is live runs, and is what the history says.
            assert calc.api.version() == versions[component_of(calc, components)]
            # Every revision can still be gone back to.
            for revision in history[-3:]:
                calc.rollback(revision.number)
                assert calc.api.add(2, 3) == 5
            rollouts = calc.rollouts()
            assert rollouts[-1].to_revision == calc.revision.number
            assert all(
                later.from_revision == earlier.to_revision
                for earlier, later in itertools.pairwise(rollouts)
            )
            acknowledged = len(history)
            stored = {path.name for path in (state / "blobs" / "sha256").iterdir()}
            assert stored == {each.digest.removeprefix("sha256:") for each in history}
    assert acknowledged > LIVES, "the host was never killed during its work"


def component_of(calc, components) -> int:
    """Return 1 if the live revision is the first of `components`, 0 if it is the second."""
    from airssys.wasm.blobs import digest_of

    return int(calc.revision.digest == digest_of(components[0].read_bytes()))
