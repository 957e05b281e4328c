"""What copies of calls store: seen by each alone, over what its call found, and thrown away."""

from __future__ import annotations

from pathlib import Path

import pytest

from airssys.osl.audit_log import read_records
from airssys.wasm import Analysis, Host, Limits, Shadow, StorageSettings

GUEST = (Path(__file__).parents[3] / "build" / "components" / "key-value.wasm").read_bytes()
#: The same component with other bytes.
NEXT = GUEST + b"\0\x05\x04more"
ALL = ["read", "write", "delete", "list"]
OWN = {"namespace": "self", "access": ALL}
QUICK = Analysis(alpha=0.01, min_calls=60, acceptable=0.1, warm_up=0, baseline=10**9)
SHADOW = Shadow(share=100, step_duration=0.05, analysis=QUICK)
FOR_LONG = Shadow(share=100, step_duration=3600, analysis=QUICK)


@pytest.fixture
def deploy(host):
    """Deploy the guest with requests for storage, all of them granted."""

    def deploy(name, *requests, **options):
        capabilities = {"storage": list(requests)}
        return host.deploy(
            GUEST, name=name, capabilities=capabilities, grant="requested", **options
        )

    return deploy


def answers(status):
    return next(each.bad for each in status.judgement.evidence if each.signal == "answer")


def call_until(over, call):
    """Make a call again and again; returns how often."""
    calls = 0
    while not over():
        calls += 1
        call()
    return calls


@pytest.mark.parametrize(
    "storage",
    [StorageSettings(), StorageSettings(relaxed=0.02), StorageSettings(in_memory=True)],
    ids=["durable", "relaxed", "memory"],
)
def test_copies_of_calls_that_write_answer_as_their_calls_did(state, storage):
    """Every answer rests on what the calls before wrote, and on the writes of the call itself."""
    with Host.open_blocking(state, storage=storage) as host:
        keeper = host.deploy(
            GUEST, name="acme/keeper", grant="requested", capabilities={"storage": [OWN]}
        )
        rollout = keeper.deploy(NEXT, strategy=SHADOW, wait=False)
        api = keeper.api
        order = iter(range(10**6))

        def call():
            number = next(order)
            assert api.standard_increment("counter", 2) == 2 * number + 2
            api.count("tries")
            api.standard_swap_twice("swapped")
            api.set(f"many/{number % 7}", b"x" * (number % 11), 60_000)
            api.delete(f"many/{number % 5}")
            assert len(api.scan("many/", 2)) <= 7

        rounds = call_until(lambda: rollout.status().over, call)
        status = rollout.status()
        assert status.state == "promoted", status.why
        assert answers(status) == (0, 0)
        assert status.copies[0] >= QUICK.min_calls
        # As if there had been no copies.
        assert api.standard_get("counter") == str(2 * rounds).encode()


def test_a_copy_watches_and_totals_what_it_writes_itself(deploy):
    keeper = deploy("acme/keeper", OWN)
    rollout = keeper.deploy(NEXT, strategy=SHADOW, wait=False)

    def call():
        assert len(keeper.api.watch_own("watched/", 3)) == 4
        assert keeper.api.usage()[0] == 2

    call_until(lambda: rollout.status().over, call)
    status = rollout.status()
    assert (status.state, answers(status)) == ("promoted", (0, 0)), status.why


def test_a_revision_that_cannot_store_what_the_live_one_does_is_taken_back(deploy):
    keeper = deploy("acme/keeper", OWN)
    rollout = keeper.deploy(NEXT, strategy=SHADOW, limits=Limits(storage=100), wait=False)
    order = iter(range(10**6))
    rounds = call_until(
        lambda: rollout.status().over, lambda: keeper.api.set(f"key/{next(order)}", b"x" * 90, None)
    )
    status = rollout.status()
    assert status.state == "taken-back"
    assert status.why.startswith("answer: ")
    live, new = answers(status)
    assert (live, new > 5) == (0, True)
    assert keeper.api.usage()[0] == rounds


def test_what_another_deployment_shares_is_not_written_either(host, deploy):
    owner = deploy("team/shared", OWN, {"share_with": "acme/*", "access": ALL})
    writer = deploy("acme/writer", OWN, {"namespace": "team/shared", "access": ALL})
    rollout = writer.deploy(NEXT, strategy=SHADOW, wait=False)
    rounds = call_until(
        lambda: rollout.status().over, lambda: writer.api.shared_set("team/shared", "key", b"v")
    )
    status = rollout.status()
    assert (status.state, answers(status)) == ("promoted", (0, 0)), status.why
    assert owner.api.get_versioned("key").version == rounds
    assert host.storage.namespace("acme/writer").usage().keys == 0


def test_what_copies_do_to_the_storage_is_on_record_as_theirs(deploy, state):
    keeper = deploy("acme/keeper", OWN)
    rollout = keeper.deploy(NEXT, strategy=FOR_LONG, wait=False)
    written = call_until(
        lambda: rollout.status().copies[0] >= 10, lambda: keeper.api.set("key", b"value", None)
    )
    copied = rollout.status().copies[0]
    rollout.abort()
    writes = [each for each in read_records(state / "audit") if each.operation == "storage.write"]
    assert {each.decision for each in writes} == {"allow"}

    def count(detail):
        return sum(max(1, each.count) for each in writes if bool(each.detail) is detail)

    assert {each.detail for each in writes} == {"", "on trial: what is written is thrown away"}
    assert count(False) == written
    assert count(True) >= 2 * copied


def test_a_copy_that_writes_more_than_is_kept_is_left_out(deploy):
    keeper = deploy("acme/keeper", OWN, limits=Limits(storage="100MiB"))
    rollout = keeper.deploy(NEXT, strategy=FOR_LONG, wait=False)
    # Six times 900,000 bytes in one call, and 4 MiB are kept.
    call_until(
        lambda: rollout.status().copies[1] >= 2,
        lambda: keeper.api.time_sets("large/", 900_000, 6),
    )
    assert rollout.status().copies[0] == 0
    assert rollout.status().calls == (0, 0)
    rollout.abort()
