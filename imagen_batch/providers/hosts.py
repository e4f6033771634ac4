"""Says which hosts a key may be sent to: this machine, Google's, and others only where the user named them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from imagen_batch.system.loopback import is_loopback

GOOGLE = ".googleapis.com"
_WRITTEN = re.compile(r"https?://[A-Za-z0-9._:\[\]%-]+(/[^\\\s]*)?", re.IGNORECASE)


def is_googles(base_url: str | None) -> bool:
    """Whether requests go to a host of Google's own, be it by default or by name."""
    return base_url is None or host_of(base_url).endswith(GOOGLE)


def is_strange(base_url: str | None) -> bool:
    """Whether requests leave this machine for a host that is not Google's."""
    return not is_googles(base_url) and not is_loopback(host_of(base_url or ""))


def host_of(url: str) -> str:
    """The host in `url`, in lower case; empty where two readers of URLs would find different ones."""
    try:
        host, connected = urlsplit(url).hostname or "", parse_url(url).host or ""
    except (ValueError, LocationParseError):
        return ""
    same = host.lower() == connected.strip("[]").lower() and _WRITTEN.fullmatch(url) is not None
    return host.lower() if same else ""
