"""What every test starts from."""

from __future__ import annotations

import os
import signal
import sys


def pytest_configure() -> None:
    """Let Ctrl-C reach this process and those that tests start, and let them keep bytecode.

    A shell starts a job in the background with the signal ignored, programs started by it inherit
    that, and Python then leaves it so: a test that interrupts a program would wait for ever.

    Tests start some hundred interpreters. Where the environment says that none is to write
    bytecode, as it does in many containers, each compiles everything that it imports anew.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
