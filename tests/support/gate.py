"""Holds a simulator's requests until a test lets them through: Simulator(clock=Gate())."""

from __future__ import annotations

import threading
import time

_AT_MOST_S = 180.0


class Gate:
    """A clock that the simulator reads for each request. It returns no time until the gate is open."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._opened = threading.Event()

    def __call__(self) -> float:
        """Return the time, once the gate is open."""
        self.reached.set()
        self._opened.wait(_AT_MOST_S)
        return time.time()

    def open(self) -> None:
        """Let all requests through from now on."""
        self._opened.set()
