"""Calls without a pause, each counted, checked and timed."""

from __future__ import annotations

import threading
import time
from array import array


class Books:
    """Calls of one deployment from threads.

    Args:
        deployment: Has `add`.
        threads: How many call.
    """

    def __init__(self, deployment, threads=2):
        self.deployment = deployment
        self.calls = self.failed = self.wrong = 0
        #: Set while something is switched.
        self.switching = False
        #: Seconds of each call that began while nothing was switched, and while something was.
        self.times = {False: array("d"), True: array("d")}
        self.ending = threading.Event()
        self.one_count = threading.Lock()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(threads)]

    def run(self):
        calls = failed = wrong = 0
        call, clock = self.deployment.call, time.perf_counter
        times = {False: array("d"), True: array("d")}
        while not self.ending.is_set():
            calls += 1
            switching = self.switching
            began = clock()
            try:
                wrong += call("add", calls, 1) != calls + 1
            except Exception:  # noqa: BLE001 - counted
                failed += 1
            times[switching].append(clock() - began)
            if calls % 100 == 0:
                self.add(100, failed, wrong)
                failed = wrong = 0
        self.add(calls % 100, failed, wrong)
        with self.one_count:
            for switching, taken in times.items():
                self.times[switching].extend(taken)

    def add(self, calls, failed, wrong):
        with self.one_count:
            self.calls += calls
            self.failed += failed
            self.wrong += wrong

    def quantile(self, share, *, switching):
        """Return the seconds below which this share of the calls stayed."""
        ordered = sorted(self.times[switching])
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self.ending.set()
        for thread in self.threads:
            thread.join()
