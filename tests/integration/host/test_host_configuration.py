"""`airssys.toml` in use, and what a component's manifest says where the operator says nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airssys.wasm import GuestError, Host, InvalidSetting, LimitExceeded, Limits
from airssys.wasm.actors import ActorSettings
from airssys.wasm.manifest import ManifestError, embed_manifest, parse_component_manifest

COMPONENTS = Path(__file__).parents[3] / "build" / "components"
READER = "acme/reader"
COUNTER = "acme/counter"
COMMAND = [sys.executable, "-c", "from airssys.cli import main; main()"]

CONFIG = """
[config]
greeting = { type = "string", default = "hello" }
size = { type = "integer", default = 800 }
names = { type = "strings", default = ["a", "b"] }
ratio = { type = "number" }
"""


def packed(guest: str, name: str, text: str = "") -> bytes:
    """Return a guest that carries a manifest."""
    head = f'schema = 1\n[component]\nname = "{name}"\nversion = "1.0.0"\n'
    content = (COMPONENTS / f"{guest}.wasm").read_bytes()
    return embed_manifest(content, parse_component_manifest(head + text))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"pixels")
    return tmp_path


@pytest.fixture
def written(home: Path) -> Any:
    """Write `airssys.toml` and say where it is."""

    def write(text: str) -> Path:
        file = home / "airssys.toml"
        file.write_text(f"schema = 1\n[host]\nstate = 'state'\n{text}")
        return file

    return write


def airssys(home: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={
            **os.environ,
            "HOME": str(home / "nobody"),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            **environment,
        },
    )


READS = """
[capabilities]
filesystem = [{ path = "/data/**", access = ["read"] }]
environment = ["TZ"]
"""
READER_HERE = """
[deployments."acme/reader"]
source = "reader.wasm"
limits = { memory = "8MiB", call_timeout = "7s", open_handles = 17, storage = "1MiB", instances = 3}
drain = "2s"
keep = 1
mounts = { "/data" = { path = "images" } }
environment = { TZ = "UTC", HOME = "/root" }
grants = ["filesystem[0]"]
config = { ratio = 1.5, size = 5 }
"""


def test_the_file_alone_says_how_a_deployment_is_run(home: Path, written: Any) -> None:
    file = written('maxima = { memory = "16MiB", cpu_per_call = "3s" }\n' + READER_HERE)
    (home / "reader.wasm").write_bytes(
        packed("file-reader", READER, READS + '[instance]\nlifetime = "pooled"\n' + CONFIG)
    )
    with Host.open_blocking(configuration=file) as host:
        assert host.directory == home / "state"
        reader = host.deploy(name=READER)
        reader.call("open-file", "/data/a.png")
        assert reader.call("read-file", 6) == b"pixels"
        assert reader.call("setting", "greeting") == "hello"
        assert reader.call("setting", "size") == "5"
        assert reader.call("setting", "names") == '["a","b"]'
        assert reader.call("setting", "ratio") == "1.5"
        assert reader.call("variable", "TZ") is None, "it is asked for and not granted"
        (grant,) = reader.grants()
        assert grant.place == "capabilities.filesystem[0]"
        assert grant.why == "the operator's file says so"
        settings = reader.revision.settings
        assert (settings.lifetime, settings.instances) == ("pooled", 3)
        assert (settings.drain, settings.keep) == (2.0, 1)
        kept = settings.limits
        assert kept["memory"] == 8 << 20
        assert (kept["call_timeout"], kept["cpu_per_call"]) == (7.0, 3.0)
        assert (kept["open_handles"], kept["storage"]) == (17, 1 << 20)
        again = host.deploy(name=READER)
        assert again.revision.number == 1, "what is live with the same settings is left alone"
    # What was effective is in the revision, whatever the file says by now.
    with Host.open_blocking(home / "state") as host:
        reader = host.deployment(READER)
        reader.call("open-file", "/data/a.png")
        assert reader.revision.settings == settings


def test_what_a_call_says_comes_before_the_file_and_the_file_before_the_manifest(
    home: Path, written: Any
) -> None:
    file = written(READER_HERE)
    content = packed("file-reader", READER, READS + '[needs]\nmemory = "4MiB"\n' + CONFIG)
    with Host.open_blocking(configuration=file) as host:
        reader = host.deploy(
            content,
            name=READER,
            lifetime="call",
            drain=9,
            limits=Limits(memory="6MiB"),
            config={"size": 7},
            mounts={},
        )
        settings = reader.revision.settings
        assert (settings.lifetime, settings.drain, settings.mounts) == ("call", 9, {})
        assert (settings.limits["memory"], settings.limits["call_timeout"]) == (6 << 20, 7.0)
        assert settings.config["size"] == 7
        assert settings.config["ratio"] == 1.5
        # Of another component what was said stays, and the rest is its own.
        other = packed(
            "file-reader",
            READER,
            READS + '[instance]\nlifetime = "pooled"\n[config]\nsize = { type = "integer" }\n'
            'ratio = { type = "number" }\n',
        )
        reader.deploy(other)
        settings = reader.revision.settings
        assert (settings.lifetime, settings.drain) == ("call", 9)
        assert settings.config == {"size": 7, "ratio": 1.5}
        reader.deploy(other, lifetime="pooled", drain=3)
        assert reader.revision.settings.instances == 3


def test_a_host_never_gives_more_than_its_maxima(home: Path, written: Any) -> None:
    file = written('maxima = { memory = "16MiB", call_timeout = "2s" }\n')
    with Host.open_blocking(configuration=file) as host:
        reader = host.deploy(packed("file-reader", READER), name=READER)
        assert reader.revision.settings.limits["memory"] == 16 << 20
        assert reader.revision.settings.limits["call_timeout"] == 2.0
        needy = packed("file-reader", READER, '[needs]\nmemory = "32MiB"\n')
        with pytest.raises(ManifestError, match="needs 32MiB of memory and 'acme/reader' gets 16M"):
            host.deploy(needy, name=READER)
        with pytest.raises(ManifestError, match=r"gives 16MiB at most; raise host\.maxima\.memory"):
            host.deploy(needy, name=READER, limits=Limits(memory="32MiB"))
        assert reader.revision.number == 1


def test_needs_are_what_a_component_gets_and_must_have(tmp_path: Path) -> None:
    needs = '[needs]\nmemory = "96MiB"\ncall_timeout = "45s"\ncpu_per_call = "2s"\n'
    sink = {"push": lambda _: None, "pull": bytes}
    with Host.open_blocking(tmp_path / "state", provides={"demo:faults/sink": sink}) as host:
        reader = host.deploy(packed("file-reader", READER, needs), name=READER)
        limits = reader.revision.settings.limits
        assert (limits["memory"], limits["call_timeout"]) == (96 << 20, 45.0)
        assert limits["cpu_per_call"] == 2.0
        with pytest.raises(ManifestError, match="needs 96MiB of memory"):
            host.deploy(
                packed("file-reader", READER, needs), name=READER, limits=Limits(memory="8MiB")
            )
        faults = packed("faults", "acme/faults", '[needs]\ncpu_per_call = "100ms"\n')
        busy = host.deploy(faults, name="acme/faults")
        with pytest.raises(LimitExceeded) as caught:
            busy.call("spin")
        assert caught.value.limit == "cpu_per_call"


def test_the_namespaces_of_the_file_are_bounded(home: Path, written: Any) -> None:
    file = written('memory = "64MiB"\n[namespaces.acme]\nmemory = "1MiB"\n')
    with Host.open_blocking(configuration=file) as host:
        assert host.usage().ceilings.memory == 64 << 20
        with pytest.raises(LimitExceeded) as caught:
            host.deploy(packed("file-reader", READER), name=READER)
        assert caught.value.owner == "namespace acme"
        other = host.deploy(packed("file-reader", "other/reader"), name="other/reader")
        assert other.held is None


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"ratio": 1, "sise": 3}, r"sise is no setting of acme/reader; did you mean `size`\?"),
        ({"ratio": "1"}, "ratio takes a value of type number, not '1'"),
        ({"ratio": 1, "size": True}, "size takes a value of type integer, not True"),
        ({"ratio": 1, "names": ["a", 1]}, "names takes a value of type strings"),
        ({"size": 1}, "ratio is not set, and acme/reader has no default for it"),
    ],
)
def test_what_is_no_configuration_of_the_component_is_refused(
    tmp_path: Path, config: dict[str, Any], problem: str
) -> None:
    with Host.open_blocking(tmp_path / "state") as host:
        with pytest.raises(ManifestError, match=problem):
            host.deploy(packed("file-reader", READER, CONFIG), name=READER, config=config)
        assert host.deployments() == ()
        with pytest.raises(ManifestError, match="size is no setting of acme/reader; it has none"):
            host.deploy(packed("file-reader", READER), name=READER, config={"size": 1})


COUNTS = """
[instance]
lifetime = "actor"
[state]
hand_over = "snapshot"
rollback = "discard"
[config]
start = { type = "integer", default = 40 }
"""
COUNTER_HERE = """
[deployments."acme/counter"]
source = "counter.wasm"
limits = { mailbox = 7, message_size = "64KiB", messages_per_second = 9, instances = 2 }
supervision = { restart = "transient", burst = 1, period = "9s", backoff = { min = "10ms" } }
health = { interval = "4s", timeout = "2s", failures = 1 }
on_overflow = "drop-oldest"
"""


def test_an_actor_is_supervised_as_the_file_says(home: Path, written: Any) -> None:
    (home / "counter.wasm").write_bytes(packed("counter-rust", COUNTER, COUNTS))
    file = written(COUNTER_HERE)
    with Host.open_blocking(configuration=file) as host:
        counter = host.deploy(name=COUNTER, actor=ActorSettings(codec="json", burst=2))
        settings = counter.revision.settings
        actor = settings.actor
        assert settings.lifetime == "actor"
        assert actor is not None
        assert (actor.codec, actor.burst) == ("json", 2)
        assert (actor.mailbox, actor.message_size, actor.on_overflow) == (7, 1 << 16, "drop-oldest")
        assert (actor.restart, actor.period, actor.backoff) == ("transient", 9.0, (0.01, 30.0))
        assert (actor.health_interval, actor.health_timeout, actor.health_failures) == (4, 2, 1)
        assert settings.limits["messages_per_second"] == 9
        assert settings.ceilings.instances == 2
        assert actor.state_rules.hand_over == "snapshot"
        assert actor.config == settings.config == {"start": 40}


async def test_what_initialize_gets_is_the_whole_configuration(tmp_path: Path) -> None:
    puppet = packed(
        "actor-puppet",
        "acme/puppet",
        '[instance]\nlifetime = "actor"\n[config]\n'
        'depth = { type = "integer", default = 3 }\nlabel = { type = "string" }\n',
    )
    async with Host.open(tmp_path / "state") as host:
        deployed = await host.deploy(
            puppet, name="acme/puppet", actor=ActorSettings(codec="json"), config={"label": "x"}
        )
        ref = deployed.actor()
        assert await ref.ask({"do": [["get", "depth"], ["get", "label"]]}) == [3, "x"]
        with pytest.raises(InvalidSetting, match="config gives 'label' two values"):
            await deployed.deploy(
                puppet, actor=ActorSettings(config={"label": "z"}), config={"label": "y"}
            )


def test_the_command_line_deploys_what_the_project_says(home: Path, written: Any) -> None:
    written(READER_HERE)
    (home / "reader.wasm").write_bytes(packed("file-reader", READER, READS + CONFIG))
    (home / "deeper").mkdir()
    asked = airssys(home / "deeper", "deploy", "--name", READER, "--json")
    assert asked.returncode == 1
    assert "not granted: capabilities.environment[0]" in asked.stderr, "the file grants the other"
    done = airssys(home / "deeper", "deploy", "--name", READER, "--json", "--grant", "none")
    assert done.returncode == 0, done.stderr
    settings = json.loads(done.stdout)["live"]["settings"]
    assert settings["limits"]["memory"] == 8 << 20
    assert settings["config"]["ratio"] == 1.5
    done = airssys(
        home, "deploy", "--name", READER, "--json", "--memory", "5MiB", "--grant", "requested"
    )
    assert json.loads(done.stdout)["live"]["settings"]["limits"]["memory"] == 5 << 20
    with Host.open_blocking(home / "state") as host:
        reader = host.deployment(READER)
        reader.call("open-file", "/data/a.png")
        # None was made while it was to be granted no more than before, not even the file's.
        assert {grant.why for grant in reader.grants()} == {""}


def test_a_stored_component_is_named_by_its_digest(home: Path, written: Any) -> None:
    content = packed("file-reader", READER)
    with Host.open_blocking(home / "state") as host:
        digest = host.deploy(content, name="acme/first").revision.digest
    file = written(f'[deployments."{READER}"]\nsource = "{digest}"\n')
    with Host.open_blocking(configuration=file) as host:
        assert host.deploy(name=READER).revision.digest == digest


def test_what_is_missing_is_named(tmp_path: Path, written: Any) -> None:
    with pytest.raises(InvalidSetting, match="nothing says which directory"):
        Host.open_blocking()
    with (
        Host.open_blocking(tmp_path / "state") as host,
        pytest.raises(InvalidSetting, match="nothing says which component"),
    ):
        host.deploy(name=READER)
    file = written("[host.maximum]\n")
    with pytest.raises(ManifestError, match=r"airssys\.toml:4:7: unknown key `maximum`"):
        Host.open_blocking(configuration=file)


def test_a_policy_of_the_file_is_the_ceiling(home: Path, written: Any) -> None:
    (home / "policy.toml").write_text("")
    file = written('policy = "policy.toml"\n' + READER_HERE)
    (home / "reader.wasm").write_bytes(packed("file-reader", READER, READS + CONFIG))
    with Host.open_blocking(configuration=file) as host:
        reader = host.deploy(name=READER)
        with pytest.raises(GuestError):
            reader.call("open-file", "/data/a.png")
    with Host.open_blocking(configuration=file, policy=[]) as host:
        assert host.osl is not None


async def test_a_wrong_file_opens_nothing(home: Path, written: Any) -> None:
    file = written("admission = 'all'\n")
    with pytest.raises(ManifestError, match="Invalid enum value 'all'"):
        async with Host.open(configuration=file):
            pass
    assert not (home / "state").exists()
