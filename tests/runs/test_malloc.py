"""Large blocks of memory are kept where the C library can be told to."""

import ctypes

from imagen_batch.runs import malloc as blocks
from imagen_batch.runs.malloc import keep_large_blocks


def test_the_c_library_is_told_what_to_keep(monkeypatch):
    """Arenas first: with many, each thread would keep blocks of its own."""
    told = []

    class Library:
        def __init__(self, name):
            self.mallopt = lambda what, value: told.append((what, value))

    monkeypatch.setattr(ctypes, "CDLL", Library)
    keep_large_blocks()
    assert told == [(-8, blocks._ARENAS), (-3, blocks._LARGEST_BYTES), (-1, blocks._KEPT_BYTES)]


def test_another_c_library_is_left_alone(monkeypatch):
    """It may know no such call."""
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    keep_large_blocks()
