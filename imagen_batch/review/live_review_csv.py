"""Keeps a run's `review.csv` up to date while the gallery is served.

Each change replaces the whole file, or nothing of it.
"""

from __future__ import annotations

import io
import threading
from dataclasses import replace
from pathlib import Path

from imagen_batch.review.review_csv import ENCODING, REVIEW_FILE, Decision, read_review, write_review
from imagen_batch.storage import Folder


class ReviewFile:
    """The decisions of one folder's `review.csv`. Safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        self._storage = Folder(folder)
        self._path = folder / REVIEW_FILE
        self._lock = threading.Lock()
        self._decisions: dict[tuple[str | int, int, int | None], Decision] = {}
        self._state: tuple[int, int] | None = None
        self._reload()

    def all(self) -> list[Decision]:
        """Return the decisions that are in the file now."""
        with self._lock:
            self._reload()
            return list(self._decisions.values())

    def save(self, decisions: list[Decision]) -> None:
        """Add these decisions, which replace earlier ones about the same version, and write the file."""
        with self._lock:
            self._reload()
            for decision in decisions:
                for less_exact in (replace(decision, version=None), replace(decision, key=None, version=None)):
                    self._decisions.pop(less_exact.image, None)
                self._decisions[decision.image] = decision
            with self._storage.write(REVIEW_FILE) as target:
                text = io.TextIOWrapper(target, encoding=ENCODING, newline="")
                write_review(self._decisions.values(), text)
                text.detach()
            self._state = self._stat()

    def _reload(self) -> None:
        """Read the file again if another program has changed it."""
        state = self._stat()
        if state is not None and state != self._state:
            decisions = read_review(self._path)
            self._decisions = {each.image: each for each in decisions}
        self._state = state

    def _stat(self) -> tuple[int, int] | None:
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return None
        return (stat.st_mtime_ns, stat.st_size)
