"""Keeps the objects of a lease in memory, and fails in a given way."""

from __future__ import annotations


class Objects:
    """An object store for a lease. `trouble` names what goes wrong: `create_2` an error, `reply` that is "lost"."""

    location = "s3://bucket/run"

    def __init__(self, **trouble):
        self.stored = {}
        self.trouble = trouble
        self.creates = 0

    def read(self, name):
        if name not in self.stored:
            raise FileNotFoundError(name)
        return self.stored[name]

    def put_once(self, name, data):
        self.stored[name] = data

    def create(self, name, data):
        self.creates += 1
        if error := self.trouble.get(f"create_{self.creates}"):
            raise error
        if name in self.stored:
            return False
        self.stored[name] = data
        return self.trouble.get("reply") != "lost"

    def remove(self, name):
        self.stored.pop(name, None)
