"""Is this text an address at all? Nothing is looked up or connected to.

A ValueError says what is wrong; `urlsplit` itself raises one for some addresses only when a part is asked for.
"""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit


def web_address(text: str) -> str:
    """`text`, which is an http address. Raises ValueError where it is none."""
    parts = _split(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("expected an address such as https://HOST or http://127.0.0.1:PORT")
    return text


def cluster_address(text: str) -> str:
    """`text`, which is HOST:PORT, with or without a scheme before it. Raises ValueError where it can't be one."""
    _split(text if "://" in text else f"//{text}")
    return text


def _split(text: str) -> SplitResult:
    if not text.isprintable() or " " in text:
        raise ValueError("an address holds no spaces and no invisible characters")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"no valid address: {error}") from None
    if port == 0:
        raise ValueError("no valid address: port 0 can't be connected to")
    return parts
