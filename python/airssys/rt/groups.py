"""Sending to many: groups by name, topics by pattern. Publishing never waits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from airssys.rt.errors import InvalidSpec, MailboxFull
from airssys.rt.registry import remember, unremember

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airssys.rt._cell import Cell
    from airssys.rt.messages import Priority
    from airssys.rt.ref import Ref

__all__ = ["Groups", "Published", "TopicBridge", "Topics"]


@dataclass(frozen=True, slots=True)
class Published:
    """How many mailboxes took a message, and how many had no room."""

    accepted: int
    refused: int


def tell_all(refs: Iterable[Ref[Any]], message: Any) -> Published:
    """Tell everyone who lives; nobody's full mailbox keeps the others from it."""
    accepted = refused = 0
    for ref in refs:
        if not ref.alive:
            continue
        try:
            ref.tell(message)
        except MailboxFull:
            refused += 1
        else:
            accepted += 1
    return Published(accepted, refused)


class Groups:
    """Actors by group. Members leave when they end."""

    def __init__(self) -> None:
        self._groups: dict[str, dict[Ref[Any], None]] = {}

    def join(self, group: str, ref: Ref[Any]) -> None:
        """Add a member; twice is once."""
        remember(ref, self)
        self._groups.setdefault(group, {})[ref] = None

    def part(self, group: str, ref: Ref[Any]) -> None:
        """Take a member out."""
        members = self._groups.get(group)
        if members is not None:
            members.pop(ref, None)
            if not members:
                del self._groups[group]

    def members(self, group: str) -> tuple[Ref[Any], ...]:
        """The members, in the order they joined."""
        return tuple(self._groups.get(group, ()))

    def publish(self, group: str, message: Any) -> Published:
        """Tell every member."""
        return tell_all(self.members(group), message)

    def leave(self, cell: Cell) -> None:
        """An actor has ended."""
        for group in [name for name, members in self._groups.items() if cell.ref in members]:
            self.part(group, cell.ref)


class TopicBridge(Protocol):
    """The way to subscribers that Python does not tell itself, and from publishers there."""

    def subscribed(self, pattern: str, ref: Ref[Any]) -> bool:
        """Hear of a subscription; True takes it over, and the actor is told from there."""
        ...

    def unsubscribed(self, pattern: str, ref: Ref[Any]) -> bool:
        """Hear of the end of a subscription; True if it had been taken over."""
        ...

    def published(self, topic: str, message: Any, priority: Priority | None) -> Published:
        """Tell the subscribers over there; never waits."""
        ...


class _Node:
    __slots__ = ("branches", "subscribers")

    def __init__(self) -> None:
        self.branches: dict[str, _Node] = {}
        self.subscribers: dict[Ref[Any], None] = {}


#: Topics whose subscribers are remembered.
CACHED = 4096


class Topics:
    """Subscriptions by pattern: `orders.*.paid` (any one word), `orders.**` (one or more words).

    Attributes:
        bridges: Ways to subscribers elsewhere, which are told of everything that is published here.
    """

    def __init__(self) -> None:
        self._root = _Node()
        self._patterns: dict[Ref[Any], dict[str, None]] = {}
        self._matches: dict[str, tuple[Ref[Any], ...]] = {}
        self.bridges: list[TopicBridge] = []

    def subscribe(self, pattern: str, ref: Ref[Any]) -> None:
        """Have an actor told what is published under topics that match.

        Raises:
            InvalidSpec: The pattern has an empty word, or `**` before its end.
        """
        words = pattern.split(".")
        if not all(words) or "**" in words[:-1]:
            raise InvalidSpec(
                f"the pattern {pattern!r} is malformed: words between dots, `*` for any word, "
                "`**` at the end only",
                pattern=pattern,
            )
        if any(bridge.subscribed(pattern, ref) for bridge in self.bridges):
            return
        remember(ref, self)
        node = self._root
        for word in words:
            node = node.branches.setdefault(word, _Node())
        node.subscribers[ref] = None
        self._patterns.setdefault(ref, {})[pattern] = None
        self._matches.clear()

    def unsubscribe(self, pattern: str, ref: Ref[Any]) -> None:
        """Take a subscription back."""
        if any(bridge.unsubscribed(pattern, ref) for bridge in self.bridges):
            return
        patterns = self._patterns.get(ref)
        if patterns is None or pattern not in patterns:
            return
        del patterns[pattern]
        if not patterns:
            del self._patterns[ref]
            unremember(ref, self)
        trail: list[tuple[_Node, str]] = []
        node = self._root
        for word in pattern.split("."):
            trail.append((node, word))
            node = node.branches[word]
        node.subscribers.pop(ref, None)
        for parent, word in reversed(trail):
            child = parent.branches[word]
            if child.subscribers or child.branches:
                break
            del parent.branches[word]
        self._matches.clear()

    def publish(self, topic: str, message: Any, priority: Priority | None = None) -> Published:
        """Tell every subscriber of a matching pattern, each once."""
        told = self._tell(topic, message, priority)
        for bridge in self.bridges:
            more = bridge.published(topic, message, priority)
            told = Published(told.accepted + more.accepted, told.refused + more.refused)
        return told

    def _tell(self, topic: str, message: Any, priority: Priority | None) -> Published:
        if priority is None:
            return tell_all(self.subscribers(topic), message)
        accepted = refused = 0
        for ref in self.subscribers(topic):
            try:
                ref.tell(message, priority)
            except MailboxFull:
                refused += 1
            else:
                accepted += 1
        return Published(accepted, refused)

    def subscriptions(self) -> tuple[tuple[str, Ref[Any]], ...]:
        """The patterns and who subscribed to them, but those that a bridge has taken over."""
        return tuple((pattern, ref) for ref, its in self._patterns.items() for pattern in its)

    def subscribers(self, topic: str) -> tuple[Ref[Any], ...]:
        """Who would be told here, in no order that may be relied on."""
        found = self._matches.get(topic)
        if found is None:
            matching: dict[Ref[Any], None] = {}
            self._collect(self._root, topic.split("."), 0, matching)
            found = tuple(matching)
            if len(self._matches) >= CACHED:
                self._matches.clear()
            self._matches[topic] = found
        return found

    def _collect(
        self, node: _Node, words: list[str], index: int, found: dict[Ref[Any], None]
    ) -> None:
        if index == len(words):
            found.update(node.subscribers)
            return
        rest = node.branches.get("**")
        if rest is not None:
            found.update(rest.subscribers)
        for word in (words[index], "*"):
            child = node.branches.get(word)
            if child is not None:
                self._collect(child, words, index + 1, found)

    def leave(self, cell: Cell) -> None:
        """An actor has ended."""
        for pattern in tuple(self._patterns.get(cell.ref, ())):
            self.unsubscribe(pattern, cell.ref)
