"""How a deployment moves from one revision to another."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import msgspec

from airssys.wasm.delivery.errors import InvalidStrategy, StrategyUnsupported
from airssys.wasm.delivery.judging import Analysis

if TYPE_CHECKING:
    from airssys.wasm.delivery.records import RolloutStatus
    from airssys.wasm.revision import Settings

__all__ = [
    "KINDS",
    "BlueGreen",
    "Bounds",
    "Canary",
    "Judge",
    "Recreate",
    "Rolling",
    "Shadow",
    "Stepwise",
    "Strategy",
    "check_strategy",
    "decode_strategy",
    "encode_strategy",
    "kind_of",
    "strategy_fields",
    "strategy_from",
    "weights_of",
]

#: Asked at every look while a canary runs; what it returns is why the revision is to be taken back,
#: None where it has nothing against it. One that raises pauses the rollout.
Judge: TypeAlias = Callable[["RolloutStatus"], "str | Awaitable[str | None] | None"]

#: The control share that stays with the live revision until the verdict, in percent.
_CONTROL: Final = 5.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BlueGreen:
    """Warm the new revision beside the live one and switch at once; back again as fast."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Recreate:
    """End what the live revision runs, then start the new one; never two at a time.

    Attributes:
        wait: Seconds for which calls wait for the new revision before they are refused.
    """

    wait: float = 30.0

    def __post_init__(self) -> None:
        _check_seconds("wait", self.wait)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Hard bounds of the operator. What they take back is outside the stated false-alarm rate.

    Attributes:
        p99: Seconds that 99 of 100 calls of the new revision may take; None for any.
        error_rate: Share of its calls without an answer, from 20 such calls on; None for any.
        traps: Traps of the new revision where the live one has had none; None for any.
        past: How many times the rate of bad calls of both revisions together may be what it was
            before the rollout. Above that the rollout is paused, with every call on the live
            revision: the harm may be shared, which a comparison cannot show. None for any.
    """

    p99: float | None = None
    error_rate: float | None = None
    traps: int | None = 0
    past: float | None = 5.0

    def __post_init__(self) -> None:
        if self.p99 is not None:
            _check_seconds("p99", self.p99)
        if self.error_rate is not None and not 0 < self.error_rate < 1:
            raise InvalidStrategy(
                f"error_rate must be between 0 and 1, got {self.error_rate!r}", field="error_rate"
            )
        if self.traps is not None and (not isinstance(self.traps, int) or self.traps < 0):
            raise InvalidStrategy(
                f"traps must be a count or None, got {self.traps!r}", field="traps"
            )
        if self.past is not None and self.past <= 1:
            raise InvalidStrategy(f"past must be above 1, got {self.past!r}", field="past")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """Give the new revision a growing share of the calls, and judge it at every step.

    Attributes:
        steps: Shares in percent, each more than the one before; 95 at most, since without a control
            share there is no evidence.
        step_duration: Seconds that a step takes at least.
        analysis: By what it is judged; None judges nothing but the bounds.
        bounds: Hard bounds beside it.
        security_fix: Never go back by itself, since the live revision is known to be vulnerable:
            hold instead.
        judges: Further judges, not recorded: a rollout that outlives its host is paused for them.
    """

    steps: Sequence[float] = (1, 5, 25, 50)
    step_duration: float = 60.0
    analysis: Analysis | None = dataclasses.field(default_factory=Analysis)
    bounds: Bounds = dataclasses.field(default_factory=Bounds)
    security_fix: bool = False
    judges: Sequence[Judge] = dataclasses.field(default=(), compare=False)

    def __post_init__(self) -> None:
        try:
            steps = tuple(float(step) for step in self.steps)
        except (TypeError, ValueError):
            raise InvalidStrategy(
                f"steps {self.steps!r} must be percentages", field="steps"
            ) from None
        if not steps or any(
            after <= before for before, after in zip((0.0, *steps), steps, strict=False)
        ):
            raise InvalidStrategy(f"steps {_listed(steps)} must grow, from above 0", field="steps")
        if steps[-1] > 100 - _CONTROL:
            raise InvalidStrategy(
                f"steps {_listed(steps)} must end at {100 - _CONTROL:g} percent or less",
                field="steps",
                hint="the rest is what the new revision is compared with; after the last step it"
                " takes all",
            )
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "judges", tuple(self.judges))
        _check_seconds("step_duration", self.step_duration)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rolling:
    """Move a share after the other: of the calls, or of the actors with their state.

    Nothing is waited for but `step_duration`; what is clearly worse is taken back all the same.

    Attributes:
        shares: In how many equal shares.
        step_duration: Seconds between two.
        bounds: Hard bounds.
    """

    shares: int = 4
    step_duration: float = 5.0
    bounds: Bounds = dataclasses.field(default_factory=Bounds)

    def __post_init__(self) -> None:
        if not isinstance(self.shares, int) or not 2 <= self.shares <= 1000:
            raise InvalidStrategy(f"shares must be 2 to 1000, got {self.shares!r}", field="shares")
        _check_seconds("step_duration", self.step_duration)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """Copy a share of the calls to the new revision, compare its answers, and let no caller see it.

    A copy runs once more on each of both revisions, after its caller was answered, where every
    access with effects is refused: files are read and not written; network, messages and secrets
    are out of reach; what it writes to its storage is seen by nobody else and thrown away. An
    answer that is not the caller's is bad; so is a copy that fails. The live revision's copy is
    judged like the new one's, so that what depends on time or chance, or on what is refused, tells
    against neither.

    Attributes:
        share: In percent of the calls.
        step_duration: Seconds that it lasts at least.
        analysis: By what it is judged; `min_calls` counts copies.
        then: What follows a good verdict: `promote` lets the new revision take every call;
            `hold` leaves that to a person.
    """

    share: float = 10.0
    step_duration: float = 60.0
    analysis: Analysis = dataclasses.field(default_factory=Analysis)
    then: Literal["promote", "hold"] = "promote"

    def __post_init__(self) -> None:
        if not isinstance(self.share, (int, float)) or not 0 < self.share <= 100:
            raise InvalidStrategy(
                f"share must be above 0 and up to 100 percent, got {self.share}", field="share"
            )
        if self.then not in ("promote", "hold"):
            raise InvalidStrategy(
                f"then {self.then!r} is not known",
                field="then",
                hint="it is 'promote' or 'hold'",
            )
        _check_seconds("step_duration", self.step_duration)

    @property
    def bounds(self) -> Bounds:
        """The hard bounds: a copy that traps, where the live revision's do not, ends it."""
        # The past was without the refusals, and is no measure of copies.
        return Bounds(past=None)


#: What moves step by step, with a controller.
Stepwise: TypeAlias = Canary | Rolling | Shadow
Strategy: TypeAlias = BlueGreen | Recreate | Stepwise

#: The strategies, by their names in files and on the command line.
KINDS: Final[dict[str, type[Any]]] = {
    "blue-green": BlueGreen,
    "canary": Canary,
    "rolling": Rolling,
    "recreate": Recreate,
    "shadow": Shadow,
}


def weights_of(strategy: Stepwise) -> tuple[float, ...]:
    """Return the share of each step, as probabilities."""
    if isinstance(strategy, Shadow):
        return (strategy.share / 100,)
    if isinstance(strategy, Canary):
        return tuple(step / 100 for step in strategy.steps)
    return tuple(share / strategy.shares for share in range(1, strategy.shares))


def check_strategy(
    name: str, strategy: Strategy, settings: Settings, live: Settings, keys: int
) -> None:
    """Refuse a strategy that cannot move a deployment.

    Args:
        name: The deployment.
        strategy: How it is to be moved.
        settings: Of the new revision.
        live: Of the live one.
        keys: Actors that the deployment has, where it has actors.

    Raises:
        StrategyUnsupported: It cannot; the message says why.
    """
    if isinstance(strategy, BlueGreen):
        return
    kind = kind_of(strategy)
    if (settings.lifetime == "actor") is not (live.lifetime == "actor"):
        raise StrategyUnsupported(
            f"'{name}' moves from lifetime '{live.lifetime}' to '{settings.lifetime}', which {kind}"
            " cannot: the one takes calls, the other messages",
            hint="use BlueGreen",
        )
    if settings.lifetime == "actor" and isinstance(strategy, Recreate):
        raise StrategyUnsupported(
            f"'{name}' has actors, each of which goes over between two messages, with its mailbox"
            " and its state",
            hint="use BlueGreen",
        )
    if settings.lifetime == "actor" and isinstance(strategy, Shadow):
        raise StrategyUnsupported(
            f"'{name}' has actors, and what they answer depends on the state of each",
            hint="use Canary, or BlueGreen for a single one",
        )
    if settings.lifetime == "actor" and keys < 2:
        raise StrategyUnsupported(
            f"'{name}' is a single actor, of which {kind} cannot move a share",
            hint="use BlueGreen",
        )


def kind_of(strategy: Strategy) -> str:
    """Return the name of a strategy in manifests and on the command line."""
    return next(kind for kind, of in KINDS.items() if isinstance(strategy, of))


def encode_strategy(strategy: Strategy) -> str:
    """Return a strategy as JSON, without judges."""
    return msgspec.json.encode(strategy_fields(strategy)).decode()


def strategy_fields(strategy: Strategy) -> dict[str, Any]:
    """Return a strategy as a mapping of plain values, without judges."""
    fields = {
        field.name: getattr(strategy, field.name)
        for field in dataclasses.fields(strategy)
        if field.name != "judges"
    }
    plain: dict[str, Any] = msgspec.to_builtins({"kind": kind_of(strategy), **fields})
    return plain


def decode_strategy(text: str | bytes) -> Strategy:
    """Return the strategy that JSON stands for.

    Raises:
        InvalidStrategy: It stands for none.
    """
    try:
        fields = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise InvalidStrategy(f"a strategy is a JSON object: {error}") from None
    return strategy_from(fields)


def strategy_from(fields: dict[str, Any]) -> Strategy:
    """Return the strategy that a mapping with its `kind` stands for.

    Raises:
        InvalidStrategy: It stands for none; the message names the field.
    """
    fields = dict(fields)
    kind = fields.pop("kind", None)
    if kind not in KINDS:
        raise InvalidStrategy(
            f"strategy {kind!r} is not known", hint=f"it is {', '.join(map(repr, KINDS))}"
        )
    of = KINDS[kind]
    known = {field.name for field in dataclasses.fields(of)} - {"judges"}
    if unknown := sorted(set(fields) - known):
        raise InvalidStrategy(
            f"strategy '{kind}' has no field '{unknown[0]}'",
            hint=f"its fields are {', '.join(sorted(known)) or 'none'}",
        )
    try:
        for name, type_ in (("analysis", Analysis), ("bounds", Bounds)):
            if isinstance(fields.get(name), dict):
                fields[name] = type_(**fields[name])
        return of(**fields)  # type: ignore[no-any-return]
    except TypeError as error:
        raise InvalidStrategy(f"strategy '{kind}': {error}") from None


def _listed(steps: tuple[float, ...]) -> str:
    return f"[{', '.join(f'{step:g}' for step in steps)}]"


def _check_seconds(name: str, value: object) -> None:
    if not isinstance(value, (int, float)) or not 0 <= value <= 30 * 86_400:
        raise InvalidStrategy(f"{name} must be seconds, 30 days at most, got {value!r}", field=name)
