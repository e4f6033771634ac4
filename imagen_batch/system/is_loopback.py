"""Decides whether a host is this machine: the one definition for proxies, plain http and servers."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address


def is_loopback(host: str) -> bool:
    """Whether `host` is 127.0.0.0/8, ::1, an IPv4 loopback address written as IPv6, or localhost.

    Any other name counts as another machine, whatever it resolves to; so do addresses that only some systems accept.
    """
    host = host.strip("[]").rstrip(".").lower()
    if host == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback
