"""What an operator names that is no regular file, or too large: one error, and nobody waits."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airssys.osl import OSL, Policy, PolicyError
from airssys.osl.policy.load import load_policy
from airssys.server.principals import read_tokens
from airssys.wasm import Engine, Host
from airssys.wasm.manifest import read_component_manifest, read_host_manifest
from airssys.wasm.trust import PublicKey, SigningKey, TrustStore

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.timeout(20)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def endpoint(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))


def zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


def huge(path: Path) -> None:
    """Make a file of 2 GiB that takes no room."""
    path.touch()
    os.truncate(path, 2 << 30)


KINDS = [
    (pipe, errno.EINVAL, "is a named pipe; expected a regular file"),
    (zeros, errno.EINVAL, "is a device; expected a regular file"),
    (Path.mkdir, errno.EISDIR, "Is a directory"),
    (endpoint, errno.ENXIO, "No such device or address"),
    (huge, errno.EFBIG, "expected a smaller file"),
]


def assess(path: Path) -> object:
    return TrustStore(path.parent).floors()


READERS = {
    "policy": load_policy,
    "component manifest": read_component_manifest,
    "host manifest": read_host_manifest,
    "component": lambda path: Engine().load(path),
    "public key": PublicKey.load,
    "private key": SigningKey.load,
    "tokens": read_tokens,
    "trust store": assess,
    "policy of a new host": lambda path: Host.open_blocking(path.parent / "state", policy=path),
    "key of a log": lambda path: OSL(policy=Policy(), audit=path.with_suffix("")),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("make", "number", "problem"), KINDS, ids=[k[0].__name__ for k in KINDS])
def test_one_error_names_the_file(
    tmp_path: Path, reader: str, make: Callable[[Path], None], number: int, problem: str
) -> None:
    path = tmp_path / {"trust store": "trust.json", "key of a log": "log.key"}.get(reader, "named")
    make(path)
    path.chmod(0o600) if path.is_file() else None
    with pytest.raises(OSError, match=problem) as caught:
        READERS[reader](path)
    assert (caught.value.errno, caught.value.filename) == (number, str(path))


@pytest.mark.parametrize(("make", "number", "problem"), KINDS, ids=[k[0].__name__ for k in KINDS])
def test_a_policy_that_becomes_no_file_leaves_the_old_one_in_force(
    tmp_path: Path, make: Callable[[Path], None], number: int, problem: str
) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('[[rule]]\nname = "r"\nto = ["a/b"]\naccess = ["read"]\ntarget = ["/x"]\n')
    with OSL(policy=policy, audit=tmp_path / "log") as system:
        before = (system.policy_digest, system.gate.rule_count, system.gate.generation)
        policy.unlink()
        make(policy)
        with pytest.raises(OSError, match=problem) as caught:
            system.reload()
        assert caught.value.errno == number
        assert (system.policy_digest, system.gate.rule_count, system.gate.generation) == before
        if policy.is_dir():
            policy.rmdir()
        else:
            policy.unlink()
        policy.write_text("[[rule]\n")
        with pytest.raises(PolicyError):
            system.reload()
        assert (system.policy_digest, system.gate.rule_count, system.gate.generation) == before
