"""What WIT values are in Python where Python has no type of its own for them.

Scalars, strings, lists, tuples and options are Python's own. A `list<u8>` is `bytes`; an option
is `None` or the value, and an option of an option wraps the outer value in `Some`. Records,
variants, enums and flags are classes made from the component's types: the same class for the same
type, frozen, comparable, and picklable wherever this package can be imported.
"""

from __future__ import annotations

import dataclasses
import enum
import keyword
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakValueDictionary

from airssys.errors import AirsSysError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Err", "GuestError", "Ok", "Some", "WitError"]

T_co = TypeVar("T_co", covariant=True)


class GuestError(AirsSysError):
    """A guest's function returned the error case of its `result`.

    Attributes:
        value: The error, converted like any other value; None when the type has no payload.
    """

    default_code = "guest-error"

    def __init__(self, value: object) -> None:
        super().__init__(f"the guest returned an error: {value!r}")
        self.value = value

    def __reduce__(self) -> tuple[type[GuestError], tuple[object]]:
        return type(self), (self.value,)


class WitError(Exception):
    """Raised by a host function to return the error case of its `result` to the guest.

    Attributes:
        value: The error to return; leave it out when the type has no payload.
    """

    def __init__(self, value: object = None) -> None:
        super().__init__(value)
        self.value = value


@dataclasses.dataclass(frozen=True, slots=True)
class Ok(Generic[T_co]):
    """The success case of a `result` inside another value.

    Attributes:
        value: What it carries; None when the type has no payload.
    """

    value: T_co = None  # type: ignore[assignment]


@dataclasses.dataclass(frozen=True, slots=True)
class Err(Generic[T_co]):
    """The error case of a `result` inside another value.

    Attributes:
        value: What it carries; None when the type has no payload.
    """

    value: T_co = None  # type: ignore[assignment]


@dataclasses.dataclass(frozen=True, slots=True)
class Some(Generic[T_co]):
    """The present case of an option whose own value is an option.

    `option<option<u32>>` is `None`, `Some(None)` or `Some(5)`; only the outer options are wrapped.
    """

    value: T_co


# Everything below is for the native module, which asks for one class for each type it meets.

Members = tuple[str, ...]

_classes: WeakValueDictionary[tuple[object, ...], type[Any]] = WeakValueDictionary()
_ANONYMOUS_MODULE = "airssys.wasm.anonymous"


def attribute_name(wit_name: str) -> str:
    """Return the Python name of a field or parameter: `unit-price` is `unit_price`."""
    name = wit_name.replace("-", "_")
    return f"{name}_" if keyword.iskeyword(name) else name


def class_name(wit_name: str) -> str:
    """Return the Python name of a type or case: `line-item` is `LineItem`."""
    name = "".join(part[:1].upper() + part[1:] for part in wit_name.split("-"))
    return f"{name}_" if keyword.iskeyword(name) else name


def member_name(wit_name: str) -> str:
    """Return the Python name of an enum case or flag: `dark-red` is `DARK_RED`."""
    return wit_name.replace("-", "_").upper()


def record_class(module: str | None, name: str, fields: Members, wit: str) -> type[Any]:
    """Return the dataclass of a record.

    Args:
        module: The WIT interface that declares it, None for an anonymous type.
        name: Its WIT name.
        fields: The WIT names of its fields, in order.
        wit: Its declaration, which becomes the docstring.
    """
    key = ("record", module, name, fields, wit)
    if (known := _classes.get(key)) is not None:
        return known

    def reduce(self: Any) -> tuple[Any, ...]:
        values = tuple(getattr(self, attribute_name(field)) for field in fields)
        return restore, ("record", key[1:], None, values)

    made = _dataclass(
        class_name(name),
        [attribute_name(field) for field in fields],
        (),
        reduce=reduce,
        module=module,
        wit=wit,
    )
    _classes[key] = made
    return made


def variant_class(
    module: str | None, name: str, cases: Members, payloads: Members, wit: str
) -> type[Any]:
    """Return the base class of a variant, with one nested class for each case.

    Args:
        module: The WIT interface that declares it, None for an anonymous type.
        name: Its WIT name.
        cases: The WIT names of its cases, in order.
        payloads: Those of the cases that have a payload.
        wit: Its declaration, which becomes the docstring.
    """
    key = ("variant", module, name, cases, payloads, wit)
    if (known := _classes.get(key)) is not None:
        return known
    base: type[Any] = type(class_name(name), (), {"__slots__": (), "__doc__": wit})
    base.__module__ = module or _ANONYMOUS_MODULE
    for case in cases:

        def reduce(self: Any, case: str = case) -> tuple[Any, ...]:
            values = (self.value,) if case in payloads else ()
            return restore, ("variant", key[1:], case, values)

        fields = ["value"] if case in payloads else []
        nested = _dataclass(
            class_name(case), fields, (base,), reduce=reduce, module=module, wit=wit
        )
        nested.__qualname__ = f"{base.__qualname__}.{nested.__name__}"
        nested.__wit_case__ = case
        setattr(base, nested.__name__, nested)
    _classes[key] = base
    return base


class WitEnum(enum.Enum):
    """The base of the classes of WIT enums; a member's value is its WIT name."""

    def __reduce_ex__(self, _protocol: object) -> tuple[Any, ...]:
        return restore, ("enum", type(self).__wit_key__, None, (self.value,))  # type: ignore[attr-defined]


class WitFlags(enum.Flag):
    """The base of the classes of WIT flags; bit `n` is the flag at position `n`."""

    def __reduce_ex__(self, _protocol: object) -> tuple[Any, ...]:
        return restore, ("flags", type(self).__wit_key__, None, (self.value,))  # type: ignore[attr-defined]


def enum_class(module: str | None, name: str, cases: Members, wit: str) -> type[Any]:
    """Return the `enum.Enum` of a WIT enum, whose members are `DARK_RED = 'dark-red'`."""
    members = [(member_name(case), case) for case in cases]
    return _enumeration("enum", WitEnum, (module, name, cases, wit), members)


def flags_class(module: str | None, name: str, flags: Members, wit: str) -> type[Any]:
    """Return the `enum.Flag` of WIT flags, with one member for each."""
    members = [(member_name(flag), 1 << position) for position, flag in enumerate(flags)]
    return _enumeration("flags", WitFlags, (module, name, flags, wit), members)


def _enumeration(
    kind: str, base: Any, spec: tuple[Any, ...], members: list[tuple[str, Any]]
) -> type[Any]:
    key = (kind, *spec)
    if (known := _classes.get(key)) is not None:
        return known
    module, name, _, wit = spec
    made: type[Any] = base(class_name(name), members, module=module or _ANONYMOUS_MODULE)
    made.__doc__ = wit
    made.__wit_key__ = spec
    _classes[key] = made
    return made


def _dataclass(
    name: str,
    fields: list[str],
    bases: tuple[type, ...],
    *,
    reduce: Any,
    module: str | None,
    wit: str,
) -> type[Any]:
    made = dataclasses.make_dataclass(
        name,
        [(field, Any) for field in fields],
        bases=bases,
        namespace={"__reduce__": reduce, "__doc__": wit},
        frozen=True,
        slots=True,
    )
    made.__module__ = module or _ANONYMOUS_MODULE
    return made


_FACTORIES: dict[str, Callable[..., type[Any]]] = {
    "record": record_class,
    "variant": variant_class,
    "enum": enum_class,
    "flags": flags_class,
}


def restore(kind: str, spec: tuple[Any, ...], case: str | None, values: tuple[Any, ...]) -> Any:
    """Rebuild a pickled value, making its class where the component was not loaded yet."""
    made = _FACTORIES[kind](*spec)
    return (made if case is None else getattr(made, class_name(case)))(*values)
