"""Kits: packed by one, begun with by another, and hostile ones."""

from __future__ import annotations

import io
import json
import stat
import sys
import zipfile

import pytest

from airssys.authoring import build, new_project
from airssys.authoring import kits as kits_module
from airssys.authoring.kits import Kit, KitError, pack, read_kit, unpacked
from airssys.wasm import Host

ABOUT = 'schema = 1\n\n[kit]\nname = "acme-pricing"\nversion = "1.0.0"\n'
CONTRACT = '''
from typing import Protocol

from airssys.wasm.contracts import interface


@interface("acme:crm/pricing@1.0.0")
class Pricing(Protocol):
    """What prices orders."""

    def quote(self, item: str, count: int) -> float:
        """Return the price of so many of an item."""
'''
KIT = {
    "kit.toml": ABOUT,
    "common/Component.toml.in": """schema = 1

[component]
name = "@name@"
version = "0.1.0"

[build]
language = "@language@"
world = "@world@"
""",
    "common/wit/world.wit.in": """package @package@@0.1.0;

world @world@ {
    import acme:host/rates@1.0.0;
    export acme:crm/pricing@1.0.0;
}
""",
    "common/wit/deps/host/rates.wit": (
        "package acme:host@1.0.0;\n\n"
        "interface rates {\n    rate: func(currency: string) -> f64;\n}\n"
    ),
    "common/tests/test_pricing.py": '''import pytest

RATES = {"rate": lambda currency: {"EUR": 2.0}[currency]}


@pytest.mark.component(provides={"acme:host/rates@1.0.0": RATES})
def test_quotes(component):
    """With a double of what the host provides."""
    assert component.call("acme:crm/pricing@1.0.0#quote", "tea", 3) == 6.0
''',
    "c/app.c.in": """// @name@: prices orders.

#include "airssys.h"

double exports_acme_crm_pricing_quote(component_string_t *item, int64_t count) {
    component_string_t currency;
    component_string_set(&currency, "EUR");
    component_string_free(item);
    return count * acme_host_rates_rate(&currency);
}
""",
}


def laid(folder, files):
    for name, text in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return folder


@pytest.mark.timeout(300)
def test_a_kit_is_packed_begun_with_built_tested_and_deployed(airssys, tmp_path, monkeypatch):
    laid(tmp_path / "vendor", KIT)
    (tmp_path / "crm.py").write_text(CONTRACT)
    kit = tmp_path / "pricing.kit"
    done = airssys("kit", "pack", "vendor", "-o", kit, "--contract", "crm:Pricing", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["name"] == "acme-pricing"
    done = airssys("new", "beta/prices", "--from", kit)
    assert done.returncode == 0, done.stderr
    project = tmp_path / "prices"
    assert 'name = "beta/prices"' in (project / "Component.toml").read_text()
    done = airssys("test", "--json", cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["pytest"] == 0
    monkeypatch.syspath_prepend(tmp_path)
    import crm

    rates = {"acme:host/rates@1.0.0": {"rate": lambda _: 2.0}}
    with Host.open_blocking(tmp_path / "state", provides=rates) as host:
        prices = host.deploy(
            project / "build" / "component.wasm", name="beta/prices", implements=crm.Pricing
        )
        assert prices.api.quote("tea", 4) == 8.0
    del sys.modules["crm"]


def test_the_same_folder_gives_the_same_kit_and_a_contract_its_world(tmp_path, monkeypatch):
    files = {name: text for name, text in KIT.items() if "wit/" not in name}
    folder = laid(tmp_path / "vendor", files)
    (tmp_path / "crm_alone.py").write_text(CONTRACT)
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        found = pack(folder, tmp_path / name, contract="crm_alone:Pricing")
        assert found == Kit("acme-pricing", "1.0.0")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert read_kit(tmp_path / "one") == found
    with unpacked(tmp_path / "one") as source:
        project = new_project("beta/prices", folder_of_template=source, into=tmp_path)
    world = (project / "wit" / "world.wit").read_text()
    assert "export acme:crm/pricing@1.0.0;" in world
    (project / "app.c").write_text(
        '#include "airssys.h"\n'
        "double exports_acme_crm_pricing_quote(component_string_t *item, int64_t count) {\n"
        "    return count;\n}\n"
    )
    assert build(project).changed
    del sys.modules["crm_alone"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"kit.toml": None}, r"has no kit\.toml; it says: schema = 1"),
        ({"kit.toml": ABOUT + 'nmae = "x"\n'}, r"kit\.toml:6:1: unknown key `nmae`"),
        ({"kit.toml": ABOUT.replace("acme-pricing", "Acme")}, "expected lower-case words"),
        ({"c/app.c.in": None}, "has no language; make a folder: python"),
        ({"c/app.c.in": None, "c/other.c": ""}, r"has no c/app\.c\.in"),
        ({"common/Component.toml.in": None}, r"has no common/Component\.toml\.in"),
    ],
)
def test_what_makes_no_kit_is_named(tmp_path, change, told):
    files = {name: text for name, text in (KIT | change).items() if text is not None}
    with pytest.raises(KitError, match=told):
        pack(laid(tmp_path / "vendor", files), tmp_path / "kit")
    assert not (tmp_path / "kit").exists()


def test_a_kit_whose_world_cannot_be_read_is_not_packed(tmp_path):
    from airssys.authoring import WitError

    folder = laid(tmp_path / "vendor", KIT)  # without the package that --contract would add
    with pytest.raises(WitError, match="acme:crm"):
        pack(folder, tmp_path / "kit")


def test_links_are_not_packed(tmp_path):
    folder = laid(tmp_path / "vendor", KIT)
    (folder / "common" / "secret").symlink_to("/etc/passwd")
    with pytest.raises(KitError, match="secret is a link"):
        pack(folder, tmp_path / "kit")


@pytest.mark.parametrize(
    "contract", ["crm", "no_such_module:Pricing", "json:Pricing", "json:JSONDecoder"]
)
def test_what_is_no_contract_is_named(tmp_path, contract):
    folder = laid(tmp_path / "vendor", KIT)
    with pytest.raises(KitError, match=contract):
        pack(folder, tmp_path / "kit", contract=contract)


def archive(*entries: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as written:
        for name, content in (("kit.toml", ABOUT.encode()), *entries):
            written.writestr(name, content)
    return made.getvalue()


def special(kind: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo("common/entry")
    entry.external_attr = (kind | 0o777) << 16
    return entry


def encrypted() -> bytes:
    content = bytearray(archive(("common/x", b"x")))
    for at in (content.index(b"PK\x01\x02") + 8, 6):
        content[at] |= 1
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (archive(("../outside", b"x")), "leads elsewhere"),
        (archive(("common/../../outside", b"x")), "leads elsewhere"),
        (archive(("/etc/outside", b"x")), "leads elsewhere"),
        (archive(("common\\..\\outside", b"x")), "leads elsewhere"),
        (archive(("C:/outside", b"x")), "leads elsewhere"),
        (archive(("common/a\nb", b"x")), "leads elsewhere"),
        (archive(("c/" + "x" * 300, b"x")), "leads elsewhere"),
        (archive((special(stat.S_IFLNK), b"/etc/passwd")), "no plain file"),
        (archive((special(stat.S_IFIFO), b"")), "no plain file"),
        (archive(("common/a", b"x"), ("common/A", b"x")), "twice"),
        (archive(("common/bomb", bytes(17 << 20))), "more than 16777216 bytes when unpacked"),
        (archive(*((f"common/{n}", b"") for n in range(1001))), "1002 files"),
        (b"no archive", "is no kit: File is not a zip file; `airssys kit pack"),
        (archive()[:-30], "is no kit"),
        (encrypted(), "is no kit"),
        (zipfile.ZipFile, r"has no kit\.toml"),
    ],
)
def test_a_hostile_kit_is_refused_and_writes_nothing(tmp_path, content, told):
    if not isinstance(content, bytes):
        made = io.BytesIO()
        zipfile.ZipFile(made, "w").close()
        content = made.getvalue()
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "kit").write_bytes(content)
    with pytest.raises(KitError, match=told), unpacked(inside / "kit"):
        pytest.fail("it was unpacked")
    assert sorted(tmp_path.rglob("*")) == [inside, inside / "kit"]


def test_a_kit_that_lies_about_its_sizes_is_bounded_by_what_comes(tmp_path, monkeypatch):
    monkeypatch.setattr(kits_module, "_MOST_BYTES", 1000)
    content = archive(("common/bomb", bytes(5000)))
    size = (5000).to_bytes(4, "little")
    (tmp_path / "kit").write_bytes(content.replace(size, (10).to_bytes(4, "little")))
    with pytest.raises(KitError), unpacked(tmp_path / "kit"):
        pytest.fail("it was unpacked")


def test_a_kit_that_is_too_large_is_not_read(tmp_path):
    with (tmp_path / "kit").open("wb") as file:
        file.truncate((8 << 20) + 1)
    with pytest.raises(KitError, match="larger than 8388608 bytes"), unpacked(tmp_path / "kit"):
        pytest.fail("it was unpacked")


def test_new_from_a_kit_and_by_template_at_once_is_no_use(airssys, tmp_path):
    done = airssys("new", "prices", "--from", "kit", "--template", "http")
    assert done.returncode == 2
    assert "give one" in done.stderr
    done = airssys("new", "prices", "--from", tmp_path / "none")
    assert done.returncode == 1
    assert "there is no kit" in done.stderr
