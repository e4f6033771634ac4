"""Checks whether a text is a valid address; nothing is looked up or connected to.

A ValueError says what is wrong. `urlsplit` alone is not enough: for some addresses only reading a part raises.
"""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit


def web_address(text: str) -> str:
    """Return `text` if it is an http or https address. Raises ValueError otherwise."""
    parts = _split(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("expected an address such as https://HOST or http://127.0.0.1:PORT")
    return text


def cluster_address(text: str) -> str:
    """Return `text` if it is HOST:PORT, with or without a scheme. Raises ValueError otherwise."""
    _split(text if "://" in text else f"//{text}")
    return text


def _split(text: str) -> SplitResult:
    if not text.isprintable() or " " in text:
        raise ValueError("an address has no spaces and no invisible characters")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"not a valid address: {error}") from None
    if port == 0:
        raise ValueError("not a valid address: nothing can connect to port 0")
    return parts
