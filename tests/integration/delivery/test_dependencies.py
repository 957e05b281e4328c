"""Dependencies between components: resolved when one is deployed, and kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from airssys.wasm import Canary, DependencyRefused, GuestError, Host, Recreate, WitError
from airssys.wasm.delivery.dependencies import in_range
from airssys.wasm.manifest import embed_manifest
from airssys.wasm.manifest.read import parse_component_manifest
from airssys.wasm.settings import settings_from

COMPONENTS = Path(__file__).parents[3] / "build" / "components"


def component(name, version, guest="calculator", **dependencies):
    wanted = "".join(f'"{other}" = "{versions}"\n' for other, versions in dependencies.items())
    text = f'schema = 1\n[component]\nname = "{name}"\nversion = "{version}"\n'
    manifest = parse_component_manifest(f"{text}[dependencies]\n{wanted}")
    return embed_manifest((COMPONENTS / f"{guest}.wasm").read_bytes(), manifest)


def test_a_dependency_is_resolved_and_locked(host):
    host.deploy(component("text/tokens", "1.2.0"), name="text/tokens")
    wanted = {"text/tokens": "^1.1"}
    search = host.deploy(component("text/search", "1.0.0", **wanted), name="text/search")
    locked = search.revision.dependencies["text/tokens"]
    assert (locked.range, locked.version, locked.revision) == ("^1.1", "1.2.0", 1)
    assert search.revision.about.version == "1.0.0"


def test_what_is_missing_or_of_another_version_is_refused(host):
    with pytest.raises(DependencyRefused, match="there is no such deployment; deploy 'text/to"):
        host.deploy(component("text/search", "1.0.0", **{"text/tokens": "^1"}), name="text/search")
    host.deploy(component("text/tokens", "2.0.0"), name="text/tokens")
    with pytest.raises(DependencyRefused, match=r"depends on 'text/tokens' \^1, and 2\.0\.0 is"):
        host.deploy(component("text/search", "1.0.0", **{"text/tokens": "^1"}), name="text/search")
    assert [each.name for each in host.deployments()] == ["text/tokens"]


def test_an_upgrade_that_breaks_a_dependant_is_refused_and_so_is_a_way_back(host):
    tokens = host.deploy(component("text/tokens", "1.0.0"), name="text/tokens")
    tokens.deploy(component("text/tokens", "1.2.0"))
    host.deploy(component("text/search", "1.0.0", **{"text/tokens": "^1.1"}), name="text/search")
    with pytest.raises(DependencyRefused, match=r"'text/search' depends on 'text/tokens' \^1\.1"):
        tokens.deploy(component("text/tokens", "2.0.0"))
    with pytest.raises(DependencyRefused, match="text/search"):
        tokens.rollback()
    assert tokens.deploy(component("text/tokens", "1.3.0")).revision.number == 3


class Ops:
    """`demo:calc/ops` for other components: what is live of acme/calc answers."""

    host = None

    def add(self, a, b):
        return self.host.call("acme/calc", "demo:calc/ops#add", a, b)

    def divide(self, dividend, divisor):
        try:
            return self.host.call("acme/calc", "demo:calc/ops#divide", dividend, divisor)
        except GuestError as error:
            raise WitError(error.value) from error


@pytest.fixture
def invoicing(state):
    """An invoice component whose imports are what a calculator exports, both live."""
    ops = Ops()
    with Host.open_blocking(state, provides={"demo:calc/ops": ops}) as host:
        ops.host = host
        host.deploy(component("acme/calc", "1.0.0"), name="acme/calc")
        needs = {"acme/calc": "^1.0"}
        content = component("acme/invoice", "1.0.0", guest="invoice-rust", **needs)
        host.deploy(content, name="acme/invoice")
        yield host


@pytest.mark.parametrize(
    ("guest", "broken"),
    [
        # Another `add`, and the `divide` that there was.
        (
            "calculator-2",
            r"'demo:calc/ops#add' is \(a: s64, b: s64\) -> .*, and \(a: u32, b: u32\)",
        ),
        ("echo", r"'demo:calc/ops#add' is gone; 'demo:calc/ops#divide' is gone"),
    ],
    ids=["changes a function", "lacks the interface"],
)
@pytest.mark.parametrize(
    "strategy", [None, Canary(), Recreate()], ids=["once", "canary", "recreate"]
)
def test_an_upgrade_without_what_a_live_component_imports_is_refused_and_explained(
    invoicing, guest, broken, strategy
):
    calc, invoice = invoicing.deployment("acme/calc"), invoicing.deployment("acme/invoice")
    wrong = component("acme/calc", "1.1.0", guest=guest)  # by its version it would fit
    with pytest.raises(DependencyRefused, match=broken) as refused:
        calc.deploy(wrong, strategy=strategy)
    assert "'acme/invoice' imports what this 'acme/calc' does not export" in refused.value.summary
    assert refused.value.hint.startswith("keep what it imports, or deploy a 'acme/invoice'")
    planned = invoicing.plan(wrong, name="acme/calc", settings=settings_from(), strategy=strategy)
    assert [each for each in planned.problems if "acme/invoice" in each] == [refused.value.summary]
    assert invoice.call("total", [2, 3, 4]) == 9
    with pytest.raises(GuestError, match="between nobody"):
        invoice.call("share", 1, 0)
    assert len(calc.history()) == 1


def test_what_nobody_imports_any_more_may_change_and_what_stays_the_same_goes_in(invoicing):
    calc, invoice = invoicing.deployment("acme/calc"), invoicing.deployment("acme/invoice")
    calc.deploy(component("acme/calc", "1.1.0", guest="calculator-1-1"))
    assert invoice.call("total", [2, 3]) == 5
    # The way back is checked too, against what is live then.
    assert calc.rollback().number == 1
    invoice.remove()
    calc.deploy(component("acme/calc", "2.0.0", guest="calculator-2"))
    assert calc.call("demo:calc/ops#add", 2, 3) == 5


def test_a_cycle_is_refused(host):
    one = host.deploy(component("acme/one", "1.0.0"), name="acme/one")
    host.deploy(component("acme/two", "1.0.0", **{"acme/one": "^1"}), name="acme/two")
    with pytest.raises(DependencyRefused, match="acme/one -> acme/two -> acme/one"):
        one.deploy(component("acme/one", "1.1.0", **{"acme/two": "^1"}))


@pytest.mark.parametrize(
    ("versions", "inside", "outside"),
    [
        ("^1.2", ["1.2.0", "1.9.9"], ["1.1.9", "2.0.0", "2.0.0-rc.1", "1.3.0-rc.1"]),
        ("^0.2.1", ["0.2.1", "0.2.9"], ["0.3.0", "0.2.0"]),
        ("^0.0.3", ["0.0.3"], ["0.0.4"]),
        ("1.2", ["1.4.0"], ["2.0.0"]),
        ("~1.2", ["1.2.9"], ["1.3.0"]),
        ("~1", ["1.9.0"], ["2.0.0"]),
        (">=1.2, <2", ["1.2.0", "1.9.0"], ["2.0.0", "1.1.0"]),
        ("=1.2.3", ["1.2.3"], ["1.2.4"]),
        (">1", ["1.0.1"], ["1.0.0"]),
        ("*", ["0.1.0", "9.0.0"], ["1.0.0-rc.1"]),
        ("^1.2.0-rc.1", ["1.2.0-rc.2", "1.2.0"], ["2.0.0-rc.1"]),
    ],
)
def test_ranges(versions, inside, outside):
    assert all(in_range(version, versions) for version in inside)
    assert not any(in_range(version, versions) for version in outside)
