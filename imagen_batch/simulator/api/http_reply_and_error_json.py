"""Builds HTTP replies and Google's JSON error format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson

Json = dict[str, Any]

_JSON = "application/json; charset=UTF-8"
_TYPE = "type.googleapis.com/google.rpc."


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP reply."""

    status: int
    body: bytes
    content_type: str = _JSON
    headers: Mapping[str, str] = field(default_factory=dict)

    def head(self, *, length: int | None = None, close: bool = False) -> bytes:
        """Build the status line and headers. `length` is the length to claim if it is not the body's."""
        claim = len(self.body) if length is None else length
        headers = {"Content-Type": self.content_type, "Content-Length": str(claim), **self.headers}
        if close:
            headers["Connection"] = "close"
        phrase = HTTPStatus(self.status).phrase if self.status in _KNOWN else ""
        lines = [f"HTTP/1.1 {self.status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


class Refused(Exception):
    """The request is rejected with `reply`."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"{reply.status}: {reply.body.decode(errors='replace')}")
        self.reply = reply


def reply_json(value: Json, *, status: int = 200) -> Reply:
    """Build a JSON reply."""
    return Reply(status, orjson.dumps(value))


def error(code: int, status: str, message: str, *, details: tuple[Json, ...] = ()) -> Reply:
    """Build a google.rpc.Status over HTTP (api: 4)."""
    body: Json = {"code": code, "message": message, "status": status}
    if details:
        body["details"] = list(details)
    return reply_json({"error": body}, status=code)


def invalid(message: str, *, field: str | None = None) -> Reply:
    """Build a 400 INVALID_ARGUMENT, which names the field if one is given."""
    violations = [{"field": field, "description": message}] if field else []
    details = (detail("BadRequest", fieldViolations=violations),) if field else ()
    return error(400, "INVALID_ARGUMENT", message, details=details)


def detail(kind: str, **members: Any) -> Json:
    """Build one entry of an error's `details`."""
    return {"@type": _TYPE + kind, **members}


def html(status: int, title: str, text: str) -> Reply:
    """Build an HTML page, as a proxy or a front end sends it."""
    page = f"<!DOCTYPE html>\n<html><title>{title}</title><body><h1>{title}</h1><p>{text}</p></body></html>\n"
    return Reply(status, page.encode(), "text/html; charset=UTF-8")


_KNOWN = frozenset(int(status) for status in HTTPStatus)
