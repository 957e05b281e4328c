"""A disk that is full in mid-deploy: the old revision serves on, and nothing is half done."""

from __future__ import annotations

import resource

import pytest
from rollback_states import BY_HAND, component

from airssys.wasm import Host, StateWriteFailed
from airssys.wasm.remote import operations

pytestmark = pytest.mark.timeout(120)

UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
NAME = "acme/calc"


def blobs(served):
    return {each.name for each in (served.state / "blobs" / "sha256").iterdir()}


@pytest.mark.parametrize("strategy", [None, BY_HAND], ids=["at once", "canary"])
@pytest.mark.parametrize("uploaded", [False, True], ids=["upload", "record"])
def test_a_deploy_that_finds_the_disk_full_changes_nothing_and_works_with_room(
    served, uploaded, strategy
):
    """A quota of no further bytes stands for the disk, in the process of the server."""
    new = component(2)
    with Host.connect_blocking(served.address) as host:
        host.deploy(component(1), name=NAME)
        before = blobs(served)
        if uploaded:
            host.look(operations.upload(new))
        pid = served.process.pid
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        with pytest.raises(StateWriteFailed, match="free some space and try again"):
            host.deploy(new, name=NAME, strategy=strategy)
        assert host.call(NAME, "version") == 1
        resource.prlimit(pid, resource.RLIMIT_FSIZE, UNLIMITED)
        calc = host.deployment(NAME)
        assert [each.number for each in calc.history()] == [1]
        assert calc.rollout().status().over
        calc = host.deploy(new, name=NAME, strategy=strategy)
        if strategy is not None:
            calc.rollout().promote()
        assert (host.call(NAME, "version"), calc.revision.number) == (2, 2)
        host.deployment(NAME).rollback()
        assert len(blobs(served) - before) == 1
