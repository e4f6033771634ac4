"""Which call does a path make? Both hosts' paths, in every version that clients use. (api.md 5, 12)"""

from __future__ import annotations

import re
from urllib.parse import unquote

from imagen_batch.simulator.api.requests import Call

_GEMINI = re.compile(r"/(?P<version>v1beta|v1)/models/(?P<model>[^/:]+):(?P<verb>\w+)")
_VERTEX = re.compile(
    r"/(?P<version>v1beta1|v1)/projects/(?P<project>[^/]+)/locations/(?P<location>[^/]+)"
    r"/publishers/google/models/(?P<model>[^/:]+):(?P<verb>\w+)"
)
_LISTING = re.compile(r"/(?P<version>v1beta|v1)/models(?:/(?P<model>[^/:]+))?")


def read_call(path: str) -> Call | None:
    """The call that a POST to `path` makes, None where nothing lives."""
    found = _GEMINI.fullmatch(path) or _VERTEX.fullmatch(path)
    return Call(**{name: unquote(part) for name, part in found.groupdict().items()}) if found else None


def read_listing(path: str) -> Call | None:
    """What a GET of `path` asks about: one model, or with an empty name all of them."""
    found = _LISTING.fullmatch(path)
    return Call("get", unquote(found["model"] or ""), found["version"]) if found else None
