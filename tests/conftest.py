"""What every test starts from."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Let Ctrl-C reach this process and those that tests start.

    A shell starts a job in the background with the signal ignored, programs started by it inherit
    that, and Python then leaves it so: a test that interrupts a program would wait for ever.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
