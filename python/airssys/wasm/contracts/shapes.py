"""What annotations of a contract are in WIT, and how values cross between the two."""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias, TypeVar

from airssys.wasm.contracts.errors import InvalidContract
from airssys.wasm.contracts.names import kebab, quoted
from airssys.wasm.values import Err, Ok, attribute_name, class_name

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["F32", "S8", "S16", "S32", "U8", "U16", "U32", "U64", "Char", "Named", "Shape", "Shapes"]


C = TypeVar("C", bound=type)


@dataclasses.dataclass(frozen=True, slots=True)
class Wit:
    """A scalar type of WIT, as an annotation: `Annotated[int, Wit("u32")]`."""

    name: str


U8: TypeAlias = Annotated[int, Wit("u8")]
U16: TypeAlias = Annotated[int, Wit("u16")]
U32: TypeAlias = Annotated[int, Wit("u32")]
U64: TypeAlias = Annotated[int, Wit("u64")]
S8: TypeAlias = Annotated[int, Wit("s8")]
S16: TypeAlias = Annotated[int, Wit("s16")]
S32: TypeAlias = Annotated[int, Wit("s32")]
F32: TypeAlias = Annotated[float, Wit("f32")]
Char: TypeAlias = Annotated[str, Wit("char")]

#: Where a class says what it is called in WIT, and that it is a case of a variant.
_NAME: Final = "__wit_name__"
_CASE: Final = "__wit_case__"
_SCALARS: Final = {bool: "bool", int: "s64", float: "f64", str: "string", bytes: "list<u8>"}


def _same(value: Any) -> Any:
    return value


@dataclasses.dataclass(frozen=True, slots=True)
class Shape:
    """A type on both sides.

    Attributes:
        wit: Its name in WIT.
        lower: Makes of a value of the contract what a call of a component takes.
        lift: Makes of what a component gave a value of the contract.
    """

    wit: str
    lower: Callable[[Any], Any] = _same
    lift: Callable[[Any], Any] = _same


@dataclasses.dataclass(frozen=True, slots=True)
class Named:
    """A type that has a declaration.

    Attributes:
        name: In WIT.
        kind: `record`, `variant`, `enum` or `flags`.
        docs: Its docstring.
        members: Each with its type in WIT, or None.
    """

    name: str
    kind: str
    docs: str
    members: tuple[tuple[str, str | None], ...]


class Shapes:
    """The shapes of one contract; declarations are in the order in which they are met."""

    def __init__(self) -> None:
        self.declared: dict[str, Named] = {}
        self._of: dict[Any, Shape] = {}

    def of(self, kind: Any, place: str) -> Shape:
        """Return the shape of an annotation.

        Args:
            kind: The annotation.
            place: Where it stands, for errors.

        Raises:
            InvalidContract: WIT has nothing like it.
        """
        if kind in self._of:
            return self._of[kind]
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin is Annotated:
            return self._annotated(arguments, place)
        if origin in (typing.Union, types.UnionType):
            return self._union(arguments, place)
        if origin in (list, tuple, dict):
            return self._collection(origin, arguments, place)
        return Shape(_SCALARS[kind]) if kind in _SCALARS else self._named(kind, place)

    def _named(self, kind: Any, place: str) -> Shape:
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            return self._record(kind, place)
        if isinstance(kind, type) and issubclass(kind, enum.Flag):
            return self._flags(kind, place)
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return self._enum(kind, place)
        raise InvalidContract(
            f"{place}: {getattr(kind, '__name__', kind)} has nothing in WIT that is like it",
            hint="there are bool, int, float, str, bytes, list, tuple, dict, `| None`, dataclasses,"
            " enum.Enum and enum.Flag",
        )

    def _annotated(self, arguments: tuple[Any, ...], place: str) -> Shape:
        for note in arguments[1:]:
            if isinstance(note, Wit):
                return Shape(note.name)
            cases = typing.get_args(arguments[0])
            if isinstance(note, str) and cases:
                return self._variant(note, cases, place)
        return self.of(arguments[0], place)

    def _union(self, arguments: tuple[Any, ...], place: str) -> Shape:
        others = [each for each in arguments if each is not type(None)]
        if [typing.get_origin(each) for each in others] == [Ok, Err]:
            result = self._result(tuple(others), place)
            return result if len(others) == len(arguments) else self._option(result)
        if len(others) == len(arguments) or len(others) != 1:
            raise InvalidContract(
                f"{place}: a union needs a name in WIT",
                hint='as Annotated[Circle | Square, "shape"]',
            )
        return self._option(self.of(others[0], place))

    def _option(self, one: Shape) -> Shape:
        def lower(value: Any) -> Any:
            return None if value is None else one.lower(value)

        def lift(value: Any) -> Any:
            return None if value is None else one.lift(value)

        return Shape(f"option<{one.wit}>", lower, lift)

    def _result(self, arguments: tuple[Any, ...], place: str) -> Shape:
        """Return the shape of `Ok[int] | Err[str]`, a result inside of another value."""
        kinds = [typing.get_args(each)[0] for each in arguments]
        good, bad = (None if each in (None, type(None)) else self.of(each, place) for each in kinds)

        def both(value: Any, way: str) -> Any:
            shape = good if isinstance(value, Ok) else bad
            inner = None if shape is None else getattr(shape, way)(value.value)
            return Ok(inner) if isinstance(value, Ok) else Err(inner)

        return Shape(
            result_text(good, bad),
            lambda value: both(value, "lower"),
            lambda value: both(value, "lift"),
        )

    def _collection(self, origin: Any, arguments: tuple[Any, ...], place: str) -> Shape:
        parts = [self.of(each, place) for each in arguments if each is not Ellipsis]
        if origin is dict:
            key, one = parts
            return Shape(
                f"list<tuple<{key.wit}, {one.wit}>>",
                lambda value: [(key.lower(k), one.lower(v)) for k, v in value.items()],
                lambda value: {key.lift(k): one.lift(v) for k, v in value},
            )
        if origin is list or Ellipsis in arguments:
            (one,) = parts
            return Shape(
                f"list<{one.wit}>",
                lambda value: [one.lower(each) for each in value],
                lambda value: origin(one.lift(each) for each in value),
            )
        return Shape(
            f"tuple<{', '.join(part.wit for part in parts)}>",
            lambda value: tuple(p.lower(v) for p, v in zip(parts, value, strict=True)),
            lambda value: tuple(p.lift(v) for p, v in zip(parts, value, strict=True)),
        )

    def _record(self, kind: type, place: str) -> Shape:
        fields = [field.name for field in dataclasses.fields(kind)]
        if not fields:
            raise InvalidContract(f"{place}: {kind.__name__} has no fields, and a record needs one")
        hints = typing.get_type_hints(kind, include_extras=True)
        parts = {each: self.of(hints[each], f"{place}: {kind.__name__}.{each}") for each in fields}
        members = tuple((kebab(each), part.wit) for each, part in parts.items())
        named = {each: attribute_name(kebab(each)) for each in fields}

        def lower(value: Any) -> Any:
            if not isinstance(value, kind):
                return value  # the call says what is wrong with it, or takes it as it is
            return {named[each]: part.lower(getattr(value, each)) for each, part in parts.items()}

        def lift(value: Any) -> Any:
            return kind(
                **{each: part.lift(getattr(value, named[each])) for each, part in parts.items()}
            )

        return self._declare(kind, _name(kind), "record", members, place, (lower, lift))

    def _enum(self, kind: type[enum.Enum], place: str) -> Shape:
        names = {kebab(each.name.lower()): each for each in kind}
        back = {each: name for name, each in names.items()}
        members = tuple((name, None) for name in names)
        ways = (lambda value: back.get(value, value), lambda value: names[value.value])
        return self._declare(kind, _name(kind), "enum", members, place, ways)

    def _flags(self, kind: type[enum.Flag], place: str) -> Shape:
        names = {kebab(each.name.lower()): each for each in kind if each.name}

        def lower(value: Any) -> Any:
            return [name for name, each in names.items() if each in value]

        def lift(value: Any) -> Any:
            made = kind(0)
            for name, each in names.items():
                if getattr(type(value), name.replace("-", "_").upper()) in value:
                    made |= each
            return made

        members = tuple((name, None) for name in names)
        return self._declare(kind, _name(kind), "flags", members, place, (lower, lift))

    def _variant(self, name: str, cases: tuple[Any, ...], place: str) -> Shape:
        holders: dict[type, tuple[type, Shape | None, bool]] = {}
        back: dict[str, tuple[type, Shape | None, bool]] = {}
        members = []
        for case in cases:
            if not dataclasses.is_dataclass(case):
                raise InvalidContract(f"{place}: the cases of {name} have to be dataclasses")
            assert isinstance(case, type)  # noqa: S101 - no instance has got here
            known, shape = self._case(case, place)
            members.append((known, None if shape is None else shape.wit))
            holder = type(case.__name__, (_Holder,), {_CASE: known})
            holders[case] = (holder, shape, hasattr(case, _CASE))
            back[class_name(known)] = (case, shape, hasattr(case, _CASE))

        def lower(value: Any) -> Any:
            if type(value) not in holders:
                return value
            holder, shape, wraps = holders[type(value)]
            inner = value.value if wraps and shape is not None else value
            return holder(None if shape is None else shape.lower(inner))

        def lift(value: Any) -> Any:
            case, shape, wraps = back[type(value).__name__]
            if shape is None:
                return case()
            inner = shape.lift(value.value)
            return case(inner) if wraps else inner

        return self._declare(cases, kebab(name), "variant", tuple(members), place, (lower, lift))

    def _case(self, case: type, place: str) -> tuple[str, Shape | None]:
        """Return the name of a case, and the shape of what it carries."""
        if not hasattr(case, _CASE):
            carries = self._record(case, place) if dataclasses.fields(case) else None
            return kebab(case.__name__), carries
        hints = typing.get_type_hints(case, include_extras=True)
        carries = self.of(hints["value"], place) if "value" in hints else None
        return getattr(case, _CASE), carries

    def _declare(
        self,
        kind: Any,
        name: str,
        what: str,
        members: tuple[tuple[str, str | None], ...],
        place: str,
        ways: tuple[Callable[[Any], Any], Callable[[Any], Any]],
    ) -> Shape:
        docs = ""
        if isinstance(kind, type):
            docs = vars(kind).get("__doc__") or ""
            if docs.startswith(f"{kind.__name__}("):  # what `dataclass` writes by itself
                docs = ""
        made = Named(name, what, docs, members)
        if self.declared.setdefault(name, made) != made:
            raise InvalidContract(f"{place}: there are two types named {name!r}")
        shape = self._of[kind] = Shape(quoted(name), *ways)
        return shape


def named(name: str) -> Callable[[C], C]:
    """Give a dataclass, an enum or flags another name in WIT than that of the class."""

    def mark(cls: C) -> C:
        setattr(cls, _NAME, name)
        return cls

    return mark


def case(name: str) -> Callable[[C], C]:
    """Make a dataclass a case of a variant that carries its field `value`, or nothing.

    A case that is a dataclass without this carries itself, as a record.
    """

    def mark(cls: C) -> C:
        setattr(cls, _CASE, name)
        return cls

    return mark


def result_text(good: Shape | None, bad: Shape | None) -> str:
    """Return a result as WIT writes it."""
    if bad is None:
        return "result" if good is None else f"result<{good.wit}>"
    return f"result<{'_' if good is None else good.wit}, {bad.wit}>"


def _name(kind: type) -> str:
    return str(vars(kind).get(_NAME) or kebab(kind.__name__))


class _Holder:
    """A case of a variant, as calls take it."""

    def __init__(self, value: Any) -> None:
        self.value = value
