"""Parses the paths of both hosts, in every version that clients use. (api: 5)"""

from __future__ import annotations

import re
from urllib.parse import unquote

from imagen_batch.simulator.api.parsed_request import Call

_GEMINI = re.compile(r"/(?P<version>v1beta|v1)/models/(?P<model>[^/:]+):(?P<verb>\w+)")
_VERTEX = re.compile(
    r"/(?P<version>v1beta1|v1)/projects/(?P<project>[^/]+)/locations/(?P<location>[^/]+)"
    r"/publishers/google/models/(?P<model>[^/:]+):(?P<verb>\w+)"
)
_LISTING = re.compile(r"/(?P<version>v1beta|v1)/models(?:/(?P<model>[^/:]+))?")


def read_call(path: str) -> Call | None:
    """Parse the path of a POST; None for an unknown path."""
    match = _GEMINI.fullmatch(path) or _VERTEX.fullmatch(path)
    return Call(**{name: unquote(part) for name, part in match.groupdict().items()}) if match else None


def read_listing(path: str) -> Call | None:
    """Parse the path of a GET: one model, or all models where the name is empty."""
    match = _LISTING.fullmatch(path)
    return Call("get", unquote(match["model"] or ""), match["version"]) if match else None
