"""Calls and requests that a deployment keeps, and makes again on a new revision."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal

from airssys.wasm.delivery.errors import ReplayDiffers
from airssys.wasm.host_errors import InvalidSetting
from airssys.wasm.limits import parse_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airssys.wasm._native import _core

__all__ = ["Replay", "ReplayDifference", "ReplayReport", "refuse_differing", "report_of"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Keep calls of a deployment, and make them again on each new revision before it goes live.

    The latest calls that were answered are kept, in memory of the host, without what is too large
    or belongs to one instance; and so are HTTP requests, whole, with a body of 1 MiB at most, but
    those that were answered with a status of 500 and above. Before another revision goes live they
    are made on it and on the live one, both without effects, as copies of a `Shadow` are.

    Attributes:
        calls: How many are kept at most; 0 keeps none.
        bytes: Bytes of their arguments, and of requests, at most; `int` or text such as `"4MiB"`.
        share: In percent of the calls, which of them are kept; each has the same chance.
        on_difference: `refuse` the new revision where it answers a call otherwise, or `warn` of it.
        ignore: Paths of functions that may answer otherwise, such as one that tells a version; and
            paths of requests, such as `/version`.
        seconds: How long making them again may take; what there is no time for is left out.
    """

    calls: int = 200
    bytes: int | str = "4MiB"
    share: float = 100.0
    on_difference: Literal["refuse", "warn"] = "refuse"
    ignore: tuple[str, ...] = ()
    seconds: float = 10.0

    def __post_init__(self) -> None:
        if not isinstance(self.calls, int) or not 0 <= self.calls <= 10_000:
            raise InvalidSetting(f"replay: calls must be 0 to 10000, got {self.calls!r}")
        if not isinstance(self.share, (int, float)) or not 0 < self.share <= 100:
            raise InvalidSetting(
                f"replay: share must be above 0 and up to 100 percent, got {self.share!r}"
            )
        if self.on_difference not in ("refuse", "warn"):
            raise InvalidSetting(
                f"replay: on_difference {self.on_difference!r} is not known",
                hint="it is 'refuse' or 'warn'",
            )
        if isinstance(self.ignore, str) or not all(isinstance(each, str) for each in self.ignore):
            raise InvalidSetting(f"replay: ignore must be paths of functions, got {self.ignore!r}")
        object.__setattr__(self, "ignore", tuple(self.ignore))
        if not isinstance(self.seconds, (int, float)) or not 0 < self.seconds <= 600:
            raise InvalidSetting(f"replay: seconds must be up to 600, got {self.seconds!r}")
        try:
            size = parse_bytes(self.bytes, name="bytes")
        except ValueError as error:
            raise InvalidSetting(f"replay: {error}") from None
        if not 0 < size <= 256 << 20:
            raise InvalidSetting(f"replay: bytes must be up to 256MiB, got {self.bytes!r}")
        object.__setattr__(self, "bytes", size)

    def recording(self) -> _core.Recording | None:
        """Return what keeps the calls, if any are kept."""
        from airssys.wasm._native import _core  # noqa: PLC0415 - settings need no native module

        if not self.calls:
            return None
        return _core.Recording(self.share / 100, calls=self.calls, bytes=int(self.bytes))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ReplayDifference:
    """A call that the new revision answers otherwise. Texts are shortened.

    Text and bytes that go by the name of a secret (`password`, `token`) are not shown, nor is any
    value of a secret of the host. Of requests, header fields are told of where the answers differ
    in them, and of a body its beginning, where it is text that names no secret.

    Attributes:
        function: What was called; the method of a request.
        arguments: With what, as WAVE; the path and the query of a request.
        expected: What the live revision answers, as WAVE; status, header fields and body.
        got: What the new one answers, or why it does not.
    """

    function: str
    arguments: str
    expected: str
    got: str

    def __str__(self) -> str:
        request = self.arguments.startswith("/")
        what = f" {self.arguments}" if request else f"({self.arguments})"
        return f"{self.function}{what} gives {self.got}, and gave {self.expected}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ReplayReport:
    """What came of making the calls that were kept again.

    Attributes:
        same: Calls that both revisions answer alike.
        different: Calls that the new one answers otherwise, or not at all.
        unrepeatable: Calls that the live one itself answers otherwise than it did: they depend on
            time, on chance, on what was stored since, or on an access that was refused.
        left_out: Calls that were not made to their end: the new revision has not the function, or
            with another signature; too much was written; there was no time.
        first: The first of those that differ, five at most.
    """

    same: int
    different: int
    unrepeatable: int
    left_out: int
    first: tuple[ReplayDifference, ...] = ()

    def __str__(self) -> str:
        made = self.same + self.different + self.unrepeatable
        text = (
            f"{self.different} of {made} recorded calls are answered otherwise"
            f" ({self.same} alike, {self.unrepeatable} not repeatable, {self.left_out} left out)"
        )
        return f"{text}; {self.first[0]}" if self.first else text


def report_of(
    told: tuple[int, int, int, int, list[tuple[str, str, str, str]]], secrets: Iterable[str]
) -> ReplayReport:
    """Return what the native part told of a replay, without the values of `secrets`."""
    same, different, unrepeatable, left_out, first = told
    hidden = sorted((each for each in secrets if each), key=len, reverse=True)

    def masked(text: str) -> str:
        for each in hidden:
            text = text.replace(each, "***")
        return text

    return ReplayReport(
        same=same,
        different=different,
        unrepeatable=unrepeatable,
        left_out=left_out,
        first=tuple(
            ReplayDifference(
                function=function,
                arguments=masked(arguments),
                expected=masked(expected),
                got=masked(got),
            )
            for function, arguments, expected, got in first
        ),
    )


def refuse_differing(name: str, replay: Replay | None, report: ReplayReport | None) -> None:
    """Refuse a revision that answers recorded calls otherwise, where that is asked for.

    Raises:
        ReplayDiffers: It does.
    """
    refuses = replay is not None and replay.on_difference == "refuse"
    if refuses and report is not None and report.different:
        raise ReplayDiffers(
            f"the new revision of '{name}' answers otherwise: {report}",
            hint="where that is meant, deploy with replay=Replay(on_difference='warn')",
            name=name,
        )
