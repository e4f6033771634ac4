"""Large blocks of memory are kept where the C library supports it."""

import ctypes

from imagen_batch.runs import keep_freed_memory as malloc
from imagen_batch.runs.keep_freed_memory import keep_large_blocks


def test_the_c_library_is_configured_to_keep_large_blocks(monkeypatch):
    """The number of arenas is set first: with many, each thread would keep its own blocks."""
    calls = []

    class Library:
        def __init__(self, name):
            self.mallopt = lambda option, value: calls.append((option, value))

    monkeypatch.setattr(ctypes, "CDLL", Library)
    keep_large_blocks()
    assert calls == [(-8, malloc._ARENAS), (-3, malloc._LARGEST_BYTES), (-1, malloc._KEPT_BYTES)]


def test_another_c_library_is_left_alone(monkeypatch):
    """It may not have such a call."""
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    keep_large_blocks()
