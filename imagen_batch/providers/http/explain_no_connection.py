"""Explains why no connection to a service came about, and whether a setting must be corrected first.

The text of the original error is not used: it contains the URL, and may contain the password of a proxy.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from http.client import BadStatusLine
from pathlib import Path
from urllib.parse import urlsplit

import requests
import urllib3
from requests.utils import get_environ_proxies, select_proxy

from imagen_batch.errors import Fatal, Transient
from imagen_batch.providers.http.shared_tls_context import CertificatesUnusable
from imagen_batch.system.is_loopback import is_loopback
from imagen_batch.text import one_line

_TUNNEL_REFUSED = re.compile(r"Tunnel connection failed: ([1-5][0-9]{2})\b")  # by http.client
_TEMPORARY_REFUSALS = {"408", "425", "429"}
_EXPIRED, _NOT_YET_VALID = 10, 9  # X509_V_ERR_... of OpenSSL
_OTHER_NAMES = (62, 64)  # a host name, an IP address
_UNUSABLE_PROXY = (
    requests.exceptions.InvalidProxyURL,
    requests.exceptions.InvalidSchema,
    urllib3.exceptions.ProxySchemeUnknown,
    urllib3.exceptions.LocationParseError,
)
_MAX_CHARS = 120


def explain_no_connection(error: BaseException, url: str, *, reached_before: bool = False) -> Fatal | Transient:
    """Return the error to raise: a Fatal for a setting that is wrong, otherwise a Transient with the cause.

    A host that was reached before has temporary problems only, such as the sign-in page of a network.
    """
    host, proxy = one_line(urlsplit(url).hostname or "", _MAX_CHARS), _proxy(url)
    causes = list(_causes(error))
    text, setting = _wrong_setting(causes, host, proxy)
    if setting and not reached_before:
        return Fatal(text, kind="no_connection", cause=setting)
    text = text or _cause(causes, host, proxy)
    message = f"no connection to the service: {text}" if text else "no connection to the service"
    return Transient(message, kind="no_connection")


def bundle_variable(env: Mapping[str, str] = os.environ) -> str:
    """Return the name of the variable that names the trusted certificates, as `requests` chooses it."""
    only_curl = env.get("CURL_CA_BUNDLE") and not env.get("REQUESTS_CA_BUNDLE")
    return "CURL_CA_BUNDLE" if only_curl else "REQUESTS_CA_BUNDLE"


def _wrong_setting(causes: list[BaseException], host: str, proxy: str) -> tuple[str, str]:
    """Return a text and the cause of the Fatal; both are empty for an error that may pass."""
    for error in causes:
        if isinstance(error, CertificatesUnusable):
            return f"{bundle_variable()} names {one_line(error.path, _MAX_CHARS)}, {error.reason}", "certificates"
        if isinstance(error, ssl.SSLCertVerificationError):
            return _untrusted(error, host, proxy), "certificates"
        if proxy and isinstance(error, _UNUSABLE_PROXY):
            return f"the proxy {proxy} can't be used: only http:// and https:// proxies work", "proxy"
        if (refused := _TUNNEL_REFUSED.match(str(error))) is not None:
            status = refused[1]
            if status == "407":
                return f"the proxy {proxy} requires a valid user and password (HTTP 407)", "proxy"
            if status.startswith("4") and status not in _TEMPORARY_REFUSALS:
                return f"the proxy {proxy} does not permit connections to {host} (HTTP {status})", "proxy"
    return "", ""


def _untrusted(error: ssl.SSLCertVerificationError, host: str, proxy: str) -> str:
    whose = f"{host} or of the proxy {proxy}" if proxy.startswith("https:") else host
    if error.verify_code == _EXPIRED:
        return f"the certificate of {whose} has expired, or this machine's clock is wrong"
    if error.verify_code == _NOT_YET_VALID:
        return f"the certificate of {whose} is not valid yet, or this machine's clock is wrong"
    if error.verify_code in _OTHER_NAMES:
        return f"the certificate of {whose} is for another host"
    return f"the certificate of {whose} is not trusted ({error.verify_message}){_advise_on_trust()}"


def _advise_on_trust() -> str:
    variable = bundle_variable()
    bundle = os.environ.get(variable)
    if not bundle:
        return f". If your network inspects TLS, set {variable} to a PEM file with its root certificate"
    where = one_line(bundle, _MAX_CHARS)
    advice = f": its issuer is not in {where}, which {variable} names"
    return f"{advice}; for a folder, run: openssl rehash {where}" if Path(bundle).is_dir() else advice


def _cause(causes: list[BaseException], host: str, proxy: str) -> str:
    connected = f"the proxy {proxy}" if proxy else host
    for error in causes:
        if (refused := _TUNNEL_REFUSED.match(str(error))) is not None:
            return f"the proxy {proxy} does not reach {host} (HTTP {refused[1]})"
        if isinstance(error, ssl.SSLError) and error.reason == "WRONG_VERSION_NUMBER":
            return f"{connected} does not use TLS on this port"
        for kind, clause in _CLAUSES.items():
            if isinstance(error, kind):
                return clause.format(connected=connected, reason=getattr(error, "reason", None) or "unknown reason")
    return ""


_CLAUSES: dict[type[BaseException], str] = {
    socket.gaierror: "the name of {connected} can't be resolved",
    ConnectionRefusedError: "{connected} refuses connections",
    TimeoutError: "{connected} does not answer",
    ssl.SSLEOFError: "{connected} closes connections before TLS begins",
    ssl.SSLError: "TLS with {connected} fails ({reason})",
    ConnectionResetError: "{connected} closes connections at once",
    BadStatusLine: "{connected} does not answer in HTTP",
}


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield `error` and what it wraps: `requests` and urllib3 keep the original in several places."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        current = waiting.pop(0)
        if isinstance(current, BaseException) and id(current) not in seen:
            seen.add(id(current))
            yield current
            waiting += [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]


def _proxy(url: str) -> str:
    """Return the proxy of the environment for `url` as host and port, without its password. Empty: there is none."""
    if is_loopback(urlsplit(url).hostname or ""):
        return ""
    proxy = select_proxy(url, get_environ_proxies(url)) or ""
    if not proxy:
        return ""
    try:
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "of the environment"
    scheme = f"{parts.scheme}://" if parts.scheme != "http" else ""
    return one_line(f"{scheme}{parts.hostname}{port}" if parts.hostname else "of the environment", _MAX_CHARS)
