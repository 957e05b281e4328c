"""Moments as they are typed."""

from __future__ import annotations

import datetime as dt
import time

import pytest
from typer import BadParameter

from airssys.cli.moments import moment


@pytest.fixture
def in_kolkata(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_kolkata")
@pytest.mark.parametrize(
    ("text", "hour", "minute"),
    [
        ("2026-01-31T12:00", 6, 30),
        ("2026-01-31T12:00Z", 12, 0),
        ("2026-01-31T12:00+02:00", 10, 0),
        ("2026-02-01", 18, 30),
    ],
)
def test_a_moment_is_local_unless_it_says_a_zone(text, hour, minute):
    expected = dt.datetime(2026, 1, 31, hour, minute, tzinfo=dt.UTC)
    assert moment(text, "--since") == expected


def test_what_is_no_moment_is_refused():
    with pytest.raises(BadParameter, match="'soon' is no moment"):
        moment("soon", "--since")


@pytest.mark.parametrize("text", ["99999999999d", "9" * 400 + "s"])
def test_a_span_beyond_the_calendar_is_refused(text):
    for ahead in (True, False):
        with pytest.raises(BadParameter, match="beyond the calendar"):
            moment(text, "--until", ahead=ahead)
