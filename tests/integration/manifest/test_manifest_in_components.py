"""Manifests inside real components, and the command line around them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from airssys.wasm import Engine, InvalidComponent
from airssys.wasm.manifest import (
    ComponentManifest,
    HostManifest,
    ManifestError,
    canonical,
    embed_manifest,
    embedded_manifest,
    json_schema,
    need_same,
    parse_component_manifest,
)
from airssys.wasm.sections import custom_sections, with_section
from airssys.wasm.trust import SigningKey, read_signatures, sign
from airssys.wasm.trust.signature import embed as embed_signature

ROOT = Path(__file__).parents[3]
CALCULATOR = (ROOT / "build/components/calculator.wasm").read_bytes()
TEXT = """\
schema = 1

[component]
name = "acme/calculator"
version = "1.0.0"

[capabilities]
environment = ["TZ"]
"""


def manifest(old="", new=""):
    return parse_component_manifest(TEXT.replace(old, new) if old else TEXT)


def section(content):
    """Return a component with this in the place of a manifest."""
    return with_section(CALCULATOR, "airssys-manifest", content)


def test_a_packed_component_carries_its_manifest_and_runs_as_before():
    packed = embed_manifest(CALCULATOR, manifest())
    assert embedded_manifest(packed) == manifest()
    engine = Engine()
    before, after = engine.load(CALCULATOR), engine.load(packed)
    assert after.exports == before.exports
    assert after.digest != before.digest


def test_a_component_without_a_manifest_has_none():
    assert embedded_manifest(CALCULATOR) is None


def test_packing_again_leaves_exactly_one():
    packed = embed_manifest(embed_manifest(CALCULATOR, manifest()), manifest("1.0.0", "1.1.0"))
    assert len(custom_sections(packed, "airssys-manifest")) == 1
    assert embedded_manifest(packed).component.version == "1.1.0"


def test_two_manifests_are_refused():
    packed = embed_manifest(CALCULATOR, manifest())
    (only,) = custom_sections(packed, "airssys-manifest")
    with pytest.raises(ManifestError, match="carries 2 manifests, so none counts"):
        embedded_manifest(packed + packed[only.start : only.end])


def test_a_manifest_in_a_nested_component_is_not_this_ones():
    inner = embed_manifest(CALCULATOR, manifest())
    # A component that contains another, in a section of kind 4.
    size = bytearray()
    left = len(inner)
    while left >= 0x80:
        size.append(left & 0x7F | 0x80)
        left >>= 7
    size.append(left)
    outer = CALCULATOR[:8] + b"\x04" + bytes(size) + inner
    assert embedded_manifest(outer) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not one"),
        (b"\xff", "is not one"),
        (b"[" * 100_000, "is not one"),
        (b'{"schema":1}', "missing required field `component`"),
        (canonical(manifest()).replace(b"TZ", b""), "is not one"),
        (canonical(manifest()).replace(b"1.0.0", b"one"), "component.version: 'one' is no version"),
        (canonical(manifest()) + b" ", "not in canonical form"),
        (canonical(manifest()).replace(b"{", b'{"build":{},', 1), "not in canonical form"),
        (b" " * 300_000, "has 300000 bytes"),
    ],
)
def test_what_is_no_canonical_manifest_is_refused(content, message):
    with pytest.raises(ManifestError) as caught:
        embedded_manifest(section(content))
    assert message in str(caught.value)


def test_what_is_no_component_carries_nothing():
    with pytest.raises(InvalidComponent):
        embedded_manifest(b"\0asm\x01\0\0\0")


def test_a_file_beside_the_component_must_say_the_same():
    packed = embed_manifest(CALCULATOR, manifest())
    need_same(packed, manifest())
    need_same(CALCULATOR, manifest())
    with pytest.raises(ManifestError, match=r"differ at component\.version"):
        need_same(packed, manifest("1.0.0", "1.0.1"))
    with pytest.raises(ManifestError, match=r"differ at capabilities\.environment"):
        need_same(packed, manifest('"TZ"', '"TZ", "LANG"'))


def test_a_signature_is_over_the_manifest_too():
    key = SigningKey.generate()
    packed = embed_manifest(CALCULATOR, manifest())
    signed = embed_signature(packed, sign(packed, key, name="acme/calculator", version="1.0.0"))
    (signature,) = read_signatures(signed)
    assert embedded_manifest(signed) == manifest()
    assert signature.statement.manifest.startswith("sha256:")
    other = embed_manifest(signed, manifest('"TZ"', '"HOME"'))
    assert read_signatures(other)[0].statement.manifest == signature.statement.manifest
    assert custom_sections(other, "airssys-manifest") != custom_sections(signed, "airssys-manifest")


@pytest.fixture
def airssys(tmp_path):
    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-c", "from airssys.cli import main; main()", "manifest", *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=60,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    (tmp_path / "Component.toml").write_text(TEXT)
    (tmp_path / "calc.wasm").write_bytes(CALCULATOR)
    return run


def test_the_command_checks_embeds_and_shows(airssys, tmp_path):
    checked = airssys("check", "Component.toml")
    assert checked.stdout.splitlines() == [
        "ok: acme/calculator 1.0.0, asks for 1 capabilities",
        "  environment read TZ",
    ]
    bare = airssys("check", "calc.wasm")
    assert bare.returncode == 1
    assert "carries no manifest" in bare.stderr
    assert airssys("embed", "calc.wasm").returncode == 0
    assert "ok: acme/calculator" in airssys("check", "calc.wasm").stdout
    assert json.loads(airssys("show", "calc.wasm").stdout)["component"]["version"] == "1.0.0"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Component.toml", "calc.wasm"]


def test_the_command_points_at_what_is_wrong(airssys, tmp_path):
    (tmp_path / "airssys.toml").write_text("schema = 1\n\n[hosts]\n")
    done = airssys("check", "airssys.toml")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: airssys.toml:3:2: unknown key `hosts`",
        "hint: did you mean `host`?",
    ]
    assert airssys("check", "missing.toml").returncode == 3


@pytest.mark.parametrize(
    ("kind", "shape"), [("component", ComponentManifest), ("host", HostManifest)]
)
def test_the_published_schema_is_the_one_that_is_checked(airssys, kind, shape):
    printed = airssys("schema", kind).stdout
    assert json.loads(printed) == json_schema(shape)
    assert (ROOT / f"docs/reference/schemas/{kind}.json").read_text() == printed
    # Whatever can be written is explained.
    for definition in json_schema(shape)["$defs"].values():
        assert definition["additionalProperties"] is False
        for name, member in definition["properties"].items():
            assert member.get("description"), (definition["title"], name)
