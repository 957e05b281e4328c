"""A storage killed at any moment has what it acknowledged, and nothing by halves."""

from __future__ import annotations

import random
import signal
import time

import pytest
from benchmarks.storage.model import LIFE, WORKERS, after, contents

from airssys.wasm import BlockingStorage, Host, StorageSettings

LIVES = 4


@pytest.mark.parametrize("life", range(LIVES))
def test_acknowledged_writes_survive_a_kill_and_others_are_whole_or_absent(
    life, state, key_value, python
):
    """Workers in Python and in a guest write at the same time; a dictionary knows what must be."""
    moment = random.Random(life)
    with Host.open_blocking(state) as host:
        host.deploy(key_value, grant="requested", name="acme/store", lifetime="pooled")
    models = [{} for _ in range(WORKERS)]
    for seed in (2 * life, 2 * life + 1):
        process = python(LIFE, state, seed)
        acknowledged = [0] * WORKERS
        for _ in range(moment.randrange(20, 120)):
            line = process.stdout.readline()
            assert line, process.stderr.read()
            worker, number = map(int, line.split())
            acknowledged[worker] = number
        # Not to order anything: the moment within the next transaction is what varies.
        time.sleep(moment.random() * 0.005)
        process.send_signal(signal.SIGKILL)
        for line in process.stdout.read().splitlines():
            if line.count(" ") == 1 and line.endswith(tuple("0123456789")):
                worker, number = map(int, line.split())
                acknowledged[worker] = max(acknowledged[worker], number)
        process.wait()
        with Host.open_blocking(state) as host:
            namespace = host.deployment("acme/store").storage
            found = contents(namespace)
            for worker in range(WORKERS):
                done = acknowledged[worker]
                # One more may have been on its way.
                possible = [after(models[worker], seed, worker, n) for n in (done, done + 1)]
                assert found[worker] in possible, f"worker {worker}, {done} acknowledged"
                models[worker] = found[worker]
            usage = namespace.usage()
            everything = [(k, v) for model in models for k, v in model.items()]
            assert usage.keys == len(everything)
            assert usage.bytes == sum(len(key) + len(value) for key, value in everything)


RELAXED = """
    import sys
    from airssys.wasm import BlockingStorage
    namespace = BlockingStorage.open(sys.argv[1], relaxed=0.02).namespace("acme/store")
    number = 0
    while True:
        number += 1
        namespace.set(f"k{number % 50}", str(number).encode())
        print(number, flush=True)
"""


def test_relaxed_writes_survive_up_to_some_point_and_none_after_it(tmp_path, python):
    file = tmp_path / "storage.redb"
    process = python(RELAXED, file)
    for _ in range(3000):
        assert process.stdout.readline()
    process.kill()
    process.communicate()
    with BlockingStorage.open(file) as storage:
        found = sorted(int(entry.value) for entry in storage.namespace("acme/store").scan())
    # The last one that survived, and before it every write that was not written over.
    assert found == list(range(max(1, found[-1] - 49), found[-1] + 1))


def test_closing_a_relaxed_host_keeps_everything(state, key_value):
    with Host.open_blocking(state, storage=StorageSettings(relaxed=60)) as host:
        host.deploy(key_value, grant="requested", name="acme/store").api.set("a", b"1", None)
    with Host.open_blocking(state) as host:
        assert host.deployment("acme/store").api.get("a") == b"1"
