"""Contracts in Python: WIT is made of Protocols, and components are held to it."""

from __future__ import annotations

import dataclasses
import enum
import shutil
from typing import Annotated, Protocol

import pytest

from airssys.wasm import Host, StorageSettings
from airssys.wasm.contracts import (
    U32,
    ContractMismatch,
    InvalidContract,
    contract_of,
    interface,
    raises,
)


class Level(enum.Enum):
    """How loyal."""

    NEW = 1
    OLD_FRIEND = 2


class Tags(enum.Flag):
    """What goes with an order."""

    GIFT = enum.auto()
    EXPRESS = enum.auto()


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """A line of an order."""

    item: str
    count: U32
    unit_price: float


@dataclasses.dataclass(frozen=True, slots=True)
class Order:
    """What somebody wants."""

    customer: str
    lines: list[Line]
    tags: Tags
    note: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Percent:
    """A share of the whole."""

    share: float


@dataclasses.dataclass(frozen=True, slots=True)
class Nothing:
    """No discount."""


@dataclasses.dataclass(frozen=True, slots=True)
class Money:
    """An amount."""

    amount: float
    discount: Annotated[Percent | Nothing, "discount"]


@dataclasses.dataclass
class NoPrice(Exception):
    """Why there is no price."""

    item: str


@interface("acme:crm/pricing@1.0.0")
class Pricing(Protocol):
    """What prices orders."""

    @raises(NoPrice)
    def quote(self, order: Order) -> Money:
        """Return the price of an order."""

    def names(self, levels: list[Level]) -> dict[str, int]: ...

    def forget(self) -> None: ...


@interface("acme:crm/contacts@1.0.0")
class Contacts(Protocol):
    """Whom we know."""

    def level_of(self, customer: str) -> Level | None: ...


GUEST = """
wit_bindgen::generate!({ world: "plugin" });

use acme::crm::contacts;
use exports::acme::crm::pricing::{Discount, Guest, Level, Money, NoPrice, Order, Percent, Tags};

struct Plugin;

impl Guest for Plugin {
    fn quote(order: Order) -> Result<Money, NoPrice> {
        let mut amount = 0.0;
        for line in &order.lines {
            if line.item.is_empty() {
                return Err(NoPrice { item: order.note.clone().unwrap_or_default() });
            }
            amount += line.unit_price * f64::from(line.count);
        }
        if order.tags.contains(Tags::EXPRESS) {
            amount += 5.0;
        }
        let discount = match contacts::level_of(&order.customer) {
            Some(contacts::Level::OldFriend) => Discount::Percent(Percent { share: 0.1 }),
            _ => Discount::Nothing,
        };
        Ok(Money { amount, discount })
    }

    fn names(levels: Vec<Level>) -> Vec<(String, i64)> {
        let name = |level: &Level| match level {
            Level::New => "new".to_owned(),
            Level::OldFriend => "old friend".to_owned(),
        };
        levels.iter().enumerate().map(|(at, level)| (name(level), at as i64)).collect()
    }

    fn forget() {}
}

export!(Plugin);
"""
MANIFEST = """
schema = 1

[component]
name = "local/greeter"
version = "1.0.0"

[build]
language = "rust"
world = "plugin"
"""
WORLD = """
package acme:crm@1.0.0;

world plugin {
    import contacts;
    export pricing;
}
"""


class Crm:
    """An object of this program."""

    def level_of(self, customer: str) -> Level | None:
        return {"Ada": Level.OLD_FRIEND, "Bob": Level.NEW}.get(customer)


def text_of(protocol) -> str:
    contract = contract_of(protocol)
    assert contract is not None
    return contract.wit()


@pytest.fixture
def plugin(project):
    """A component in Rust, whose WIT is what the contracts gave."""
    if shutil.which("cargo") is None:
        pytest.skip("needs cargo")
    files = {
        "src/lib.rs": GUEST,
        "Component.toml": MANIFEST,
        "wit/world.wit": WORLD,
        "wit/pricing.wit": text_of(Pricing),
        "wit/contacts.wit": text_of(Contacts),
    }
    return project("rust", files=files) / "build" / "component.wasm"


def opened(tmp_path, **options):
    storage = StorageSettings(in_memory=True)
    return Host.open_blocking(tmp_path / "state", storage=storage, **options)


ORDER = Order("Ada", [Line("tea", 2, 1.5), Line("cup", 1, 4.0)], Tags.EXPRESS)


@pytest.mark.timeout(600)
def test_values_cross_as_the_contract_has_them_both_ways(plugin, tmp_path):
    with opened(tmp_path, provides={Contacts: Crm()}) as host:
        deployed = host.deploy(plugin, name="acme/pricing", implements=Pricing)
        pricing = deployed.implementing(Pricing)
        assert pricing.quote(ORDER) == Money(12.0, Percent(0.1))
        assert deployed.api.quote(order=dataclasses.replace(ORDER, customer="Bob")) == Money(
            12.0, Nothing()
        )
        assert pricing.names([Level.OLD_FRIEND, Level.NEW]) == {"old friend": 0, "new": 1}
        assert pricing.forget() is None
        wrong = Order("Ada", [Line("", 1, 1.0)], Tags(0), "a note")
        with pytest.raises(NoPrice) as caught:
            pricing.quote(wrong)
        assert caught.value.item == "a note"
        with pytest.raises(TypeError, match="count"):
            pricing.quote(Order("Ada", [Line("tea", "two", 1.5)], Tags.GIFT))
        with pytest.raises(TypeError, match="lacks order"):
            pricing.quote()
        with pytest.raises(AttributeError, match="there is quote, names, forget"):
            _ = deployed.api.price


@pytest.mark.timeout(600)
async def test_calls_are_awaited_by_an_async_host(plugin, tmp_path):
    async with Host.open(tmp_path / "s", provides={Contacts: Crm()}) as host:
        deployed = await host.deploy(plugin, name="acme/pricing", implements=Pricing)
        assert await deployed.api.quote(ORDER) == Money(12.0, Percent(0.1))


@pytest.mark.timeout(600)
def test_what_does_not_implement_it_is_refused_with_the_difference(plugin, tmp_path):
    @interface("acme:crm/pricing@1.0.0")
    class Other(Protocol):
        def quote(self, order: str) -> Money: ...

        def cancel(self, number: int) -> None: ...

    with opened(tmp_path, provides={Contacts: Crm()}) as host:
        with pytest.raises(ContractMismatch) as caught:
            host.deploy(plugin, name="acme/pricing", implements=Other)
        assert caught.value.differences == [
            (
                "quote is func(order: order) -> result<money, no-price>,"
                " expected func(order: string) -> money"
            ),
            "cancel is missing, expected func(number: s64)",
        ]
        assert host.deployments() == ()
        deployed = host.deploy(plugin, name="acme/pricing", implements=Pricing)
        with pytest.raises(ContractMismatch, match=r"contacts@1\.0\.0: it exports acme:crm/p"):
            deployed.implementing(Contacts)


@pytest.mark.timeout(600)
def test_every_later_revision_is_held_to_it(plugin, tmp_path):
    empty = b"\0asm\x0d\x00\x01\x00"
    with opened(tmp_path, provides={Contacts: Crm()}) as host:
        deployed = host.deploy(plugin, name="acme/pricing", implements=Pricing)
        with pytest.raises(ContractMismatch, match="it exports nothing"):
            deployed.deploy(empty)
        with pytest.raises(ContractMismatch, match="it exports nothing"):
            host.deploy(empty, name="acme/pricing")
        assert deployed.revision.number == 1


@pytest.mark.timeout(600)
def test_it_is_held_to_it_after_a_restart_too(plugin, tmp_path):
    empty = b"\0asm\x0d\x00\x01\x00"
    state = tmp_path / "state"
    with Host.open_blocking(state, provides={Contacts: Crm()}) as host:
        host.deploy(plugin, name="acme/pricing", implements=Pricing)
    with Host.open_blocking(state, provides={Contacts: Crm()}) as host:
        with pytest.raises(ContractMismatch, match="it exports nothing"):
            host.deploy(empty, name="acme/pricing")
        deployed = host.deployment("acme/pricing")
        assert deployed.revision.settings.implements.wit == PRICING_WIT
        assert deployed.implementing(Pricing).quote(ORDER) == Money(12.0, Percent(0.1))
        again = host.deploy(plugin, name="acme/pricing", implements=Pricing)
        assert again.revision.number == 1
        assert again.api.quote(ORDER) == Money(12.0, Percent(0.1))
        with pytest.raises(ContractMismatch, match="it exports nothing"):
            deployed.deploy(empty, drain=1.0)


def test_the_wit_is_what_it_was():
    assert text_of(Pricing) == PRICING_WIT
    assert text_of(Pricing) == text_of(Pricing)


PRICING_WIT = """package acme:crm@1.0.0;

/// What prices orders.
interface pricing {
    /// A line of an order.
    record line {
        item: string,
        count: u32,
        unit-price: f64,
    }

    /// What goes with an order.
    flags tags {
        gift,
        express,
    }

    /// What somebody wants.
    record order {
        customer: string,
        lines: list<line>,
        tags: tags,
        note: option<string>,
    }

    /// A share of the whole.
    record percent {
        share: f64,
    }

    variant discount {
        percent(percent),
        nothing,
    }

    /// An amount.
    record money {
        amount: f64,
        discount: discount,
    }

    /// Why there is no price.
    record no-price {
        item: string,
    }

    /// How loyal.
    enum level {
        new,
        old-friend,
    }

    /// Return the price of an order.
    quote: func(order: order) -> result<money, no-price>;

    names: func(levels: list<level>) -> list<tuple<string, s64>>;

    forget: func();
}

/// What implements it.
world pricing-plugin {
    export pricing;
}
"""


def test_words_of_wit_are_names_too():
    @interface("acme:crm/list")
    class Words(Protocol):
        def func(self, type: str, from_: int) -> bool: ...  # noqa: A002

    text = text_of(Words)
    assert "interface %list {" in text
    assert "%func: func(%type: string, %from: s64) -> bool;" in text


@pytest.mark.parametrize(
    ("annotation", "told"),
    [
        (complex, r"Bad\.f\(x\): complex has nothing in WIT that is like it"),
        (int | str, r"Bad\.f\(x\): a union needs a name in WIT; as Annotated"),
        (Nothing, r"Bad\.f\(x\): Nothing has no fields"),
    ],
)
def test_what_wit_has_not_is_named_with_its_place(annotation, told):
    def f(self, x): ...

    f.__annotations__ = {"x": annotation, "return": None}
    with pytest.raises(InvalidContract, match=told):
        interface("acme:crm/bad")(type("Bad", (Protocol,), {"f": f}))


def test_a_function_and_a_type_of_one_name_are_refused():
    with pytest.raises(InvalidContract, match=r"Bad\.level: a type is named 'level' too"):

        @interface("acme:crm/bad")
        class Bad(Protocol):
            def level(self) -> Level: ...


def test_what_is_no_contract_is_refused(tmp_path):
    class Plain(Protocol):
        def f(self) -> None: ...

    with pytest.raises(InvalidContract, match="is no name of an interface"):
        interface("pricing")(Plain)
    with pytest.raises(InvalidContract, match="has no methods"):
        interface("acme:crm/empty")(type("Empty", (Protocol,), {}))
    with pytest.raises(InvalidContract, match="is no contract; put @interface"):
        opened(tmp_path, provides={Plain: Crm()})
    with pytest.raises(InvalidContract, match=r"object has no level_of\(\)"):
        opened(tmp_path, provides={Contacts: object()})
