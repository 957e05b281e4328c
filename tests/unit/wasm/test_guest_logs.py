"""What guests log: rings, files that other processes follow, `logging`."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from airssys.wasm.actors import log_files
from airssys.wasm.actors.log_files import LogFiles, follow_log, read_log
from airssys.wasm.actors.log_line import LogLine
from airssys.wasm.actors.logs import RING, GuestLogs

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def line(message: str, **details: Any) -> LogLine:
    return LogLine(
        **{"at": 1.0, "level": "info", "deployment": "acme/guest", "message": message, **details}
    )


def test_lines_reach_logging_with_where_they_come_from(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logs = GuestLogs(tmp_path)
    with caplog.at_level(logging.INFO):
        logs.take([line("hello", revision=3, trace_id="abc", key="42", fields={"a": "b"}, lost=2)])
        logs.take([line("not wanted", level="debug")])
        logs.close()
    dropped, record = caplog.records
    assert (record.name, record.levelno) == ("airssys.guest.acme.guest", logging.INFO)
    assert record.getMessage() == "hello"
    assert dropped.getMessage() == "2 lines of the guest were dropped"
    shown = {name: getattr(record, name) for name in ("namespace", "deployment", "revision")}
    assert shown == {"namespace": "acme", "deployment": "acme/guest", "revision": 3}
    assert (record.trace_id, record.actor_key) == ("abc", "42")  # type: ignore[attr-defined]
    assert record.guest_fields == {"a": "b"}  # type: ignore[attr-defined]


def test_the_ring_of_a_deployment_is_bounded_and_can_be_searched(tmp_path: Path) -> None:
    logs = GuestLogs(tmp_path)
    logs.take(line(str(number), at=float(number)) for number in range(RING + 50))
    logs.take([line("bad", level="error", at=5000.0), line("other", deployment="acme/other")])
    assert len(logs.last("acme/guest")) == RING
    assert [each.message for each in logs.last("acme/guest", level="warning")] == ["bad"]
    assert [each.message for each in logs.last("acme/guest", since=RING + 49.0)] == [
        str(RING + 49),
        "bad",
    ]
    assert [each.message for each in logs.last("acme/other")] == ["other"]
    logs.close()


def test_a_handler_that_blocks_keeps_no_guest_waiting(tmp_path: Path) -> None:
    entered, go_on = threading.Event(), threading.Event()

    class Blocking(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            entered.set()
            go_on.wait(10)

    handler = Blocking()
    logging.getLogger("airssys.guest.acme.guest").addHandler(handler)
    logs = GuestLogs(tmp_path)
    try:
        logs.take([line("first", level="error")])
        assert entered.wait(10)
        logs.take([line("second", level="error")])  # returns though the handler does not
        assert len(logs.last("acme/guest")) == 2
    finally:
        go_on.set()
        logs.close()
        logging.getLogger("airssys.guest.acme.guest").removeHandler(handler)


def test_files_are_bounded_and_survive_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_files, "FILE_BYTES", 2000)
    files = LogFiles(tmp_path)
    for number in range(100):
        files.append([line(f"line {number}")])
    kept = [each.message for each in read_log(tmp_path, "acme/guest")]
    assert kept[-1] == "line 99"
    assert 10 < len(kept) < 100
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 6000
    with (tmp_path / "acme.guest.jsonl").open("ab") as file:
        file.write(b'{"half a line\n')
    files.append([line("after")])
    assert [each.message for each in read_log(tmp_path, "acme/guest")][-2:] == ["line 99", "after"]


def test_following_sees_every_line_over_a_change_of_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_files, "FILE_BYTES", 3000)
    files = LogFiles(tmp_path)
    files.append([line("0")])
    stop = threading.Event()
    seen: list[str] = []
    for each in follow_log(tmp_path, "acme/guest", stop):
        seen.append(each.message)
        if each.message == "40":
            stop.set()
        if len(seen) % 10 == 1:
            files.append([line(str(len(seen) + number)) for number in range(10)])
    assert seen[:41] == [str(number) for number in range(41)]


def test_a_full_disk_loses_lines_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    files = LogFiles(tmp_path / "file")  # where no directory can be
    files.append([line("one"), line("two")])
    assert files.lost == 2
