"""Classifies hosts: a key may go to this machine and to Google, and to other hosts only if the user agreed."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from imagen_batch.system.is_loopback import is_loopback

GOOGLE = ".googleapis.com"
_URL = re.compile(r"https?://[A-Za-z0-9._:\[\]%-]+(/[^\\\s]*)?", re.IGNORECASE)


def is_google_host(base_url: str | None) -> bool:
    """Return whether requests go to one of Google's hosts, by default or by name."""
    return base_url is None or host_of(base_url).endswith(GOOGLE)


def is_third_party_host(base_url: str | None) -> bool:
    """Return whether requests leave this machine for a host that is not Google's."""
    return not is_google_host(base_url) and not is_loopback(host_of(base_url or ""))


def host_of(url: str) -> str:
    """Return the host in `url`, in lower case; empty if two URL parsers disagree about it."""
    try:
        host, connected = urlsplit(url).hostname or "", parse_url(url).host or ""
    except (ValueError, LocationParseError):
        return ""
    same = host.lower() == connected.strip("[]").lower() and _URL.fullmatch(url) is not None
    return host.lower() if same else ""
