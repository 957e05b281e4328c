"""What rules leave to a person: a real guest waits, and goes on, or not."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airssys import osl
from airssys._core import AuditLog, AuditReader, Gate, Subject
from airssys.osl import ApprovalRequest, Approvals
from airssys.wasm import (
    BlockingStorage,
    Component,
    Engine,
    GuestError,
    Instance,
    LimitExceeded,
    Limits,
    Wasi,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

BUILT = Path(__file__).parents[3] / "build" / "components"
WHO = "acme/reader"
REFUSED = "PermissionDenied"
BOUND = 30.0


@pytest.fixture(scope="module")
def reader() -> Component:
    return Engine().load(BUILT / "file-reader.wasm")


class Asking:
    """A gate whose rules ask, its log, and a directory with two files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "audit"
        self.log = AuditLog(self.folder)
        self.gate = Gate(self.log)
        self.subject = Subject(WHO, deployment=WHO, revision=3, guest=True)
        self.data = folder / "data"
        self.data.mkdir()
        for name in ("file", "other"):
            (self.data / name).write_text(f"this is {name}")
        self.ask()

    def path(self, name: str) -> str:
        return str(self.data / name)

    def rule(self, effect: str, *targets: str, kind: str = "filesystem") -> dict[str, object]:
        return {
            "id": f"{effect}-{kind}",
            "effect": effect,
            "principals": [f"name:{WHO}"],
            "kind": kind,
            "targets": list(targets),
            "access": ["*"],
        }

    def ask(self) -> None:
        self.load(self.rule("require-approval", f"{self.data}/**"))

    def load(self, *rules: dict[str, object]) -> None:
        self.gate.load(json.dumps({"schema": 1, "rules": rules}).encode())

    def decisions(self) -> list[tuple[str, str, str]]:
        """Name of the target, decision and rule of every record of the guest."""
        self.log.flush()
        lines = [json.loads(line) for line in AuditReader(self.folder, principal=WHO).read()]
        return [(Path(line["target"]).name, line["decision"], line["rule"]) for line in lines]

    def approved_by(self) -> list[str]:
        self.log.flush()
        lines = [json.loads(line) for line in AuditReader(self.folder, principal=WHO).read()]
        return [line["approved_by"] for line in lines if "approved_by" in line]

    def wasi(self, approvals: Approvals | None) -> Wasi:
        return Wasi(
            directories={"/data": self.data}, rules=(self.gate, self.subject), approver=approvals
        )


@pytest.fixture
def asking(tmp_path: Path) -> Iterator[Asking]:
    made = Asking(tmp_path)
    with closing(made.log):
        yield made


class Person:
    """Somebody who answers when the test says so, from whatever thread it says it."""

    def __init__(self, answer: str | None = "carol") -> None:
        self.answer = answer
        self.requests: list[ApprovalRequest] = []
        self.asked = threading.Event()
        self.may_answer = threading.Event()
        self.withdrawn = threading.Event()

    async def __call__(self, request: ApprovalRequest) -> str | None:
        self.requests.append(request)
        self.asked.set()
        try:
            await asyncio.to_thread(self.may_answer.wait, BOUND)
        except asyncio.CancelledError:
            self.withdrawn.set()
            raise
        return self.answer


def at_once(answer: str | None) -> Callable[[ApprovalRequest], Awaitable[str | None]]:
    async def approver(_: ApprovalRequest) -> str | None:
        return answer

    return approver


async def slow(_: ApprovalRequest) -> str:
    """Answer after longer than the calls of these tests may take."""
    passed = asyncio.Event()
    asyncio.get_running_loop().call_later(0.5, passed.set)
    await passed.wait()
    return "carol"


async def awaited(instance: Instance, function: str, argument: str) -> object:
    return await instance[function].call_async(argument)


def in_thread(call: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    outcome: list[object] = []

    def run() -> None:
        try:
            outcome.append(call())
        except Exception as error:  # noqa: BLE001 - the test looks at it
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome


def opens(instance: Instance, name: str = "file") -> object:
    return instance["open-file"](f"/data/{name}")


def refused(error: object) -> bool:
    return isinstance(error, GuestError) and error.value == REFUSED


def test_a_blocking_guest_waits_for_a_person_and_reads(reader: Component, asking: Asking) -> None:
    person = Person()
    instance = reader.instantiate(wasi=asking.wasi(Approvals(person, BOUND)))
    thread, outcome = in_thread(lambda: opens(instance))
    assert person.asked.wait(BOUND)
    assert thread.is_alive()
    (request,) = person.requests
    assert request.context.principal.name == WHO
    assert request.permission == osl.Permission("filesystem", "read", asking.path("file"))
    assert request.rule == "require-approval-filesystem"
    person.may_answer.set()
    thread.join(BOUND)
    assert outcome == [None]
    assert instance["read-file"](100) == b"this is file"
    assert asking.decisions() == [
        ("file", "ask", "require-approval-filesystem"),
        ("file", "allow", "require-approval-filesystem"),
    ]
    assert asking.approved_by() == ["carol"]


def test_on_an_event_loop_the_approver_runs_on_that_loop(reader: Component, asking: Asking) -> None:
    async def main() -> list[object]:
        here = asyncio.get_running_loop()
        answered = asyncio.Event()
        asked = asyncio.Event()

        async def approver(_: ApprovalRequest) -> str:
            assert asyncio.get_running_loop() is here
            asked.set()
            await answered.wait()
            return "carol"

        approvals = Approvals(approver, BOUND)
        first = reader.instantiate(wasi=asking.wasi(approvals))
        second = reader.instantiate(wasi=asking.wasi(approvals))
        calls = [
            asyncio.ensure_future(instance["open-file"].call_async("/data/file"))
            for instance in (first, second)
        ]
        await asyncio.wait_for(asked.wait(), BOUND)
        assert not any(call.done() for call in calls)
        answered.set()
        return await asyncio.wait_for(asyncio.gather(*calls), BOUND)

    assert asyncio.run(main()) == [None, None]


def test_two_guests_of_one_principal_that_want_the_same_share_a_question(
    reader: Component, asking: Asking
) -> None:
    person = Person()
    approvals = Approvals(person, BOUND)
    calls = []
    for _ in range(2):
        instance = reader.instantiate(wasi=asking.wasi(approvals))
        calls.append(in_thread(lambda instance=instance: opens(instance)))  # type: ignore[misc]
    other = reader.instantiate(wasi=asking.wasi(approvals))
    calls.append(in_thread(lambda: opens(other, "other")))
    while len(asking.decisions()) < 3:
        assert person.asked.wait(BOUND)
    person.may_answer.set()
    for thread, outcome in calls:
        thread.join(BOUND)
        assert outcome == [None]
    assert len(person.requests) == 2
    assert {request.permission.target for request in person.requests} == {
        asking.path("file"),
        asking.path("other"),
    }


def test_a_refusal_is_remembered_until_rules_change(reader: Component, asking: Asking) -> None:
    asked = []

    async def approver(request: ApprovalRequest) -> None:
        asked.append(request)

    approvals = Approvals(approver, BOUND)
    instance = reader.instantiate(wasi=asking.wasi(approvals))
    for _ in range(3):
        with pytest.raises(GuestError) as caught:
            opens(instance)
        assert refused(caught.value)
    assert len(asked) == 1
    assert [each[1:] for each in asking.decisions()] == [
        ("ask", "require-approval-filesystem"),
        ("deny", "approval-refused"),
        ("ask", "require-approval-filesystem"),
        ("deny", "approval-refused-before"),
        ("ask", "require-approval-filesystem"),
        ("deny", "approval-refused-before"),
    ]
    approvals.forget()
    with pytest.raises(GuestError):
        opens(instance)
    assert len(asked) == 2


def test_nobody_answers_in_time(reader: Component, asking: Asking) -> None:
    person = Person()
    instance = reader.instantiate(wasi=asking.wasi(Approvals(person, 0.05)))
    with pytest.raises(GuestError) as caught:
        opens(instance)
    assert refused(caught.value)
    assert asking.decisions()[-1] == ("file", "deny", "approval-timeout")
    person.may_answer.set()


def test_an_approver_that_fails_refuses(
    reader: Component, asking: Asking, caplog: pytest.LogCaptureFixture
) -> None:
    async def approver(_: ApprovalRequest) -> str:
        raise ZeroDivisionError("nobody is at home")

    instance = reader.instantiate(wasi=asking.wasi(Approvals(approver, BOUND)))
    with pytest.raises(GuestError) as caught:
        opens(instance)
    assert refused(caught.value)
    assert asking.decisions()[-1] == ("file", "deny", "approval-failed")
    assert "nobody is at home" in caplog.text


def test_without_an_approver_and_after_its_end_it_is_refused(
    reader: Component, asking: Asking
) -> None:
    for approvals in (None, Approvals(None, BOUND)):
        with pytest.raises(GuestError) as caught:
            opens(reader.instantiate(wasi=asking.wasi(approvals)))
        assert refused(caught.value)
    closed = Approvals(at_once("carol"), BOUND)
    closed.close()
    with pytest.raises(GuestError) as caught:
        opens(reader.instantiate(wasi=asking.wasi(closed)))
    assert refused(caught.value)
    assert asking.decisions()[-1] == ("file", "deny", "approval-unavailable")


def test_closing_refuses_what_waits(reader: Component, asking: Asking) -> None:
    person = Person()
    approvals = Approvals(person, BOUND)
    instance = reader.instantiate(wasi=asking.wasi(approvals))
    thread, outcome = in_thread(lambda: opens(instance))
    assert person.asked.wait(BOUND)
    approvals.close()
    thread.join(BOUND)
    assert refused(outcome[0])
    assert person.withdrawn.wait(BOUND)
    person.may_answer.set()


def test_waiting_costs_the_call_none_of_its_time(reader: Component, asking: Asking) -> None:
    limits = Limits(call_timeout=0.2)

    approvals = Approvals(slow, BOUND)
    opens(reader.instantiate(wasi=asking.wasi(approvals), limits=limits))
    other = reader.instantiate(wasi=asking.wasi(approvals), limits=limits)
    asyncio.run(awaited(other, "open-file", "/data/file"))
    assert asking.approved_by() == ["carol", "carol"]


def test_the_deadline_of_the_caller_goes_on(reader: Component, asking: Asking) -> None:
    person = Person()

    async def main() -> None:
        approvals = Approvals(person, BOUND)
        instance = reader.instantiate(wasi=asking.wasi(approvals))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await instance["open-file"].call_async("/data/file")
        assert await asyncio.to_thread(person.withdrawn.wait, BOUND)
        person.may_answer.set()

    asyncio.run(main())
    assert len(person.requests) == 1


def test_a_guest_that_waits_for_something_else_after_the_answer_ends_at_its_timeout(
    reader: Component, asking: Asking
) -> None:
    limits = Limits(call_timeout=0.2)
    approvals = Approvals(slow, BOUND)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        address = "{}:{}".format(*silent.getsockname())

        def connected() -> Instance:
            asking.load(asking.rule("allow", address, kind="network"))
            instance = reader.instantiate(wasi=asking.wasi(approvals), limits=limits)
            instance["open-connection"](address)
            asking.load(asking.rule("require-approval", address, kind="network"))
            return instance

        with pytest.raises(LimitExceeded, match="call_timeout"):
            connected()["exchange"]("anybody there?")
        with pytest.raises(LimitExceeded, match="call_timeout"):
            asyncio.run(awaited(connected(), "exchange", "anybody there?"))
    assert asking.approved_by() == ["carol", "carol"]


def test_what_was_approved_is_resolved_and_decided_again(reader: Component, asking: Asking) -> None:
    person = Person()
    asking.load(asking.rule("require-approval", asking.path("file")))
    instance = reader.instantiate(wasi=asking.wasi(Approvals(person, BOUND)))
    thread, outcome = in_thread(lambda: opens(instance))
    assert person.asked.wait(BOUND)
    (asking.data / "file").unlink()
    (asking.data / "file").symlink_to("other")
    person.may_answer.set()
    thread.join(BOUND)
    assert refused(outcome[0])
    assert asking.decisions() == [
        ("file", "ask", "require-approval-filesystem"),
        ("other", "deny", "default-deny"),
    ]


def test_a_right_that_is_revoked_while_it_waits_is_refused_at_once(
    reader: Component, asking: Asking
) -> None:
    person = Person()
    instance = reader.instantiate(wasi=asking.wasi(Approvals(person, BOUND)))
    thread, outcome = in_thread(lambda: opens(instance))
    assert person.asked.wait(BOUND)
    asking.load()
    thread.join(BOUND)
    assert refused(outcome[0])
    assert person.withdrawn.wait(BOUND)
    assert asking.decisions()[-1] == ("file", "deny", "default-deny")
    person.may_answer.set()


def test_a_change_of_other_rules_does_not_ask_again(reader: Component, asking: Asking) -> None:
    person = Person()
    instance = reader.instantiate(wasi=asking.wasi(Approvals(person, BOUND)))
    thread, outcome = in_thread(lambda: opens(instance))
    assert person.asked.wait(BOUND)
    asking.load(
        asking.rule("require-approval", f"{asking.data}/**"),
        asking.rule("deny", "example.com:443", kind="network"),
    )
    person.may_answer.set()
    thread.join(BOUND)
    assert outcome == [None]
    assert len(person.requests) == 1
    assert [each[1] for each in asking.decisions()] == ["ask", "allow"]


def test_a_guest_cannot_flood_a_person(reader: Component, asking: Asking) -> None:
    asked = []

    async def approver(request: ApprovalRequest) -> None:
        asked.append(request)

    for number in range(40):
        (asking.data / f"{number}").touch()
    instance = reader.instantiate(wasi=asking.wasi(Approvals(approver, BOUND)))
    for number in range(40):
        with pytest.raises(GuestError):
            opens(instance, str(number))
    assert len(asked) == 30
    assert asking.decisions()[-1] == ("39", "deny", "approval-rate-limited")


def test_storage_waits_for_a_person_as_well(asking: Asking) -> None:
    asking.load(asking.rule("require-approval", "self/**", kind="storage"))
    with BlockingStorage.in_memory() as storage:
        namespace = storage.namespace("acme/store")
        namespace.set("users/1", b"one")
        requests = []

        async def approver(request: ApprovalRequest) -> str | None:
            requests.append(str(request.permission))
            return "carol" if request.permission.access == "read" else None

        wasi = Wasi(
            rules=(asking.gate, asking.subject),
            storage=namespace,
            approver=Approvals(approver, BOUND),
        )
        guest = Engine().load(BUILT / "key-value.wasm").instantiate(wasi=wasi)
        assert guest["get"]("users/1") == b"one"
        with pytest.raises(GuestError):
            guest["set"]("users/1", b"two", None)
        assert requests == ["storage read self/users/1", "storage write self/users/1"]
        assert namespace.get("users/1") == b"one"


def test_an_approver_without_rules_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="pass rules as well"):
        Wasi(approver=Approvals(None, BOUND))
