from __future__ import annotations

import threading

import pytest


class Load:
    """Calls a deployment from a thread without a pause, and keeps the books."""

    def __init__(self, deployment):
        self.deployment = deployment
        self.calls = 0
        self.wrong = []
        self.failed = []
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.ending.is_set():
            self.calls += 1
            try:
                answer = self.deployment.call("add", self.calls, 1)
            except Exception as error:  # noqa: BLE001 - looked at by the test
                self.failed.append(error)
            else:
                if answer != self.calls + 1:
                    self.wrong.append(answer)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.ending.set()
        self.thread.join(30)
        assert not self.thread.is_alive()


@pytest.fixture
def load():
    return Load
