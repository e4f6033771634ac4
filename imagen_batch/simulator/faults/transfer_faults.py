"""Lists the faults of connections, gateways and proxies."""

from __future__ import annotations

from collections.abc import Callable

from imagen_batch.simulator.api import error_bodies
from imagen_batch.simulator.api.http_reply_and_error_json import Reply, html
from imagen_batch.simulator.faults import broken_transfers as broken
from imagen_batch.simulator.faults.fault import Attempt, Fault, reply_instead


def _broken_transfer(name: str, section: str, description: str, carry: broken.Carry) -> Fault:
    return Fault(name, section, description, carry=carry, breaks=True)


def _rewritten_body(name: str, description: str, change: Callable[[bytes], bytes]) -> Fault:
    return Fault(name, "10", description, carry=broken.rewrite_body(change))


def _never_sent(_: Attempt) -> Reply:
    """Avoid drawing images for a reply that is never sent."""
    return html(500, "Never sent", "")


TRANSFERS = (
    Fault("reset", "4.1", "reset before the reply", instead=_never_sent, carry=broken.reset),
    Fault(
        "stall",
        "4.1",
        "no bytes, then the end",
        instead=_never_sent,
        carry=broken.stall,
        options={"seconds": 3600.0},
    ),
    _broken_transfer("reset_midway", "4.1", "reset within the body", broken.reset_midway),
    _broken_transfer("wrong_length", "4.1", "ends before the stated length", broken.wrong_length),
    _broken_transfer("cut_json", "10", "half of the JSON, with a matching length", broken.cut_json),
    _rewritten_body(
        "byte_order_mark", "a UTF-8 byte order mark before the JSON", lambda body: b"\xef\xbb\xbf" + body
    ),
    _rewritten_body("utf_16", "the JSON in UTF-16", lambda body: body.decode().encode("utf-16")),
    _rewritten_body("in_an_array", "the JSON as the only item of an array", lambda body: b"[" + body + b"]"),
    _rewritten_body("nuls_around", "NULs and blanks around the JSON", lambda body: b"\0 \r\n" + body + b"\0\0\n"),
    Fault(
        "trickle",
        "4.1",
        "a few bytes at a time",
        carry=broken.trickle,
        options={"seconds": 0.1, "bytes": 64, "headers": False},
    ),
    Fault(
        "gzip_bomb",
        "4.1",
        "unpacks to this size",
        instead=_never_sent,
        carry=broken.gzip_bomb,
        options={"megabytes": 1024},
    ),
    Fault(
        "endless",
        "4.1",
        "an endless body",
        instead=_never_sent,
        carry=broken.endless,
        options={"seconds": 0.0, "bytes": 65536},
    ),
    reply_instead(
        "html_200",
        "4.1",
        "200 with a proxy's page",
        lambda _: html(200, "Please log in", "Welcome to the café."),
    ),
    reply_instead(
        "redirect",
        "4.1",
        "302 to another host",
        lambda a: error_bodies.redirect(a.options),
        location="http://elsewhere.invalid/",
    ),
    reply_instead(
        "echo_key", "5", "500 whose message repeats the key", lambda a: error_bodies.echoed_key(a.credential)
    ),
)
