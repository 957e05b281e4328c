"""A host that is killed at any moment comes back with what it acknowledged."""

from __future__ import annotations

import itertools
import random
import signal
import time

import pytest

from airssys.wasm.blobs import digest_of
from airssys.wasm.host import Host

# Deploys without end: a component that is new each time, since it has another custom section, and
# is compiled anew; one that has been live before; and back. Tells each revision once it is
# acknowledged.
DEPLOY_FOR_EVER = """
import sys
from airssys.wasm.host import Host
state, first, second, number = sys.argv[1:]
number = int(number)
with Host.open_blocking(state) as host:
    print("open", flush=True)
    first = open(first, "rb").read()
    def tell(deployment):
        print(deployment.revision.number, deployment.revision.digest, flush=True)
    while True:
        number += 1
        section = b"\\0\\x09\\4turn" + number.to_bytes(4, "big")
        calc = host.deploy(first + section, name="acme/calc", lifetime="pooled")
        tell(calc)
        assert calc.call("add", number, 1) == number + 1
        calc.deploy(second)
        tell(calc)
        calc.rollback()
        tell(calc)
"""

LIVES = 20

pytestmark = pytest.mark.timeout(180)


def test_a_host_killed_during_deploys_loses_nothing_it_acknowledged(state, guest, python):
    """Kill it at random moments: during its opening, a deploy, a rollback, or between them."""
    moments = random.Random(8)
    first, second = guest("calculator"), guest("calculator-1-1")
    known: dict[int, str] = {}
    for life in range(LIVES):
        process = python(DEPLOY_FOR_EVER, state, first, second, life * 1000)
        said: list[str] = []
        for _ in range(moments.randrange(1, 12)):
            said.append(process.stdout.readline())
            if not said[-1]:
                raise AssertionError(process.stderr.read())
        # Not to order anything: the moment within the next deploy is what varies.
        time.sleep(moments.random() * 0.02)
        process.send_signal(signal.SIGKILL)
        # Not `communicate`, which knows nothing of what `readline` has taken in advance.
        said += process.stdout.read().splitlines()
        process.wait()
        told = [line.split() for line in said if line.strip() != "open" and line.count(":") == 1]
        acknowledged = {int(number): digest for number, digest in told}
        with Host.open_blocking(state) as host:
            if not host.deployments():
                assert not acknowledged, f"life {life}: an acknowledged deployment is gone"
                continue
            known = revisions_of(host.deployment("acme/calc"), known | acknowledged, second)
            stored = {path.name for path in (state / "blobs" / "sha256").iterdir()}
            assert stored == {digest.removeprefix("sha256:") for digest in known.values()}
    assert len(known) > LIVES, "the host was never killed during its work"


def revisions_of(calc, known, second):
    """Look at a deployment, which needs no repair; return its revisions."""
    history = {each.number: each.digest for each in calc.history()}
    assert known.items() <= history.items(), "an acknowledged revision is gone"
    assert len(history) <= len(known) + 1, "only the one under way may be there besides"
    assert list(history) == list(range(1, len(history) + 1))
    assert calc.held is None
    # What is live runs, and is what the history says.
    of_second = digest_of(second.read_bytes())
    assert calc.call("version") == ("1.1.0" if calc.revision.digest == of_second else "1.0.0")
    assert calc.rollouts()[-1].to_revision == calc.revision.number
    # Every revision can still be gone back to: its bytes are whole.
    for number in list(history)[-3:]:
        calc.rollback(number)
        assert calc.api.add(2, number) == 2 + number
    rollouts = calc.rollouts()
    assert rollouts[-1].to_revision == calc.revision.number
    assert [each.to_revision for each in rollouts if each.kind == "deploy"] == list(history)
    assert all(
        later.from_revision == earlier.to_revision
        for earlier, later in itertools.pairwise(rollouts)
    )
    return history
