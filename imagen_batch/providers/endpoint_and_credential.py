"""Chooses the URL that a request is sent to, and the credential that authorizes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from imagen_batch.errors import SettingsInvalid
from imagen_batch.providers.credentials import Credential, GoogleToken, read_key
from imagen_batch.providers.trusted_hosts import host_of, is_third_party_host
from imagen_batch.settings import Settings
from imagen_batch.system.is_loopback import is_loopback

GEMINI_HOST = "https://generativelanguage.googleapis.com"
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:-]*")


class Provider(Protocol):
    """A service that makes images."""

    @property
    def name(self) -> str:
        """Return the name as in --provider."""

    @property
    def vertex(self) -> bool:
        """Whether the service accepts the fields that only Vertex has."""

    @property
    def base_url(self) -> str:
        """The address of the host, without a slash at its end."""

    @property
    def credential(self) -> Credential:
        """The credential that authorizes a request."""

    def url(self, model: str, verb: str) -> str:
        """Return the URL to post a request for `model` to."""


@dataclass(frozen=True)
class GeminiApi:
    """The Gemini API, any host that is compatible with it, and the simulator. (api: 5)"""

    base_url: str
    credential: Credential
    name: str = "gemini"
    vertex: bool = False

    def url(self, model: str, verb: str) -> str:
        """Return the URL to post a request for `model` to."""
        return f"{self.base_url}/v1beta/models/{model}:{verb}"


@dataclass(frozen=True)
class Vertex:
    """Vertex AI, also called Agent Platform. (api: 5)"""

    base_url: str
    credential: Credential
    project: str
    location: str
    name: str = "vertex"
    vertex: bool = True

    def url(self, model: str, verb: str) -> str:
        """Return the URL to post a request for `model` to."""
        parent = f"projects/{self.project}/locations/{self.location}"
        return f"{self.base_url}/v1/{parent}/publishers/google/models/{model}:{verb}"


def make_provider(settings: Settings, *, base_url: str | None, env: Mapping[str, str]) -> Provider:
    """Return the provider that `settings` name, with its credential. `base_url` replaces Google's host.

    Raises SettingsInvalid for a missing credential or project, or for an address that must not be used.
    """
    checked = None if base_url is None else check_base_url(base_url)
    require_approved_host(settings)
    if settings.provider == "simulator":
        assert checked is not None
        return GeminiApi(checked, Credential("no-key-for-the-simulator"), name="simulator")
    if settings.provider == "gemini":
        key_file = Path(settings.api_key_file) if settings.api_key_file else None
        return GeminiApi(checked or GEMINI_HOST, Credential(read_key(env, key_file)))
    project = settings.project or env.get("GOOGLE_CLOUD_PROJECT")
    if not project:
        raise SettingsInvalid("--provider vertex needs --project (or GOOGLE_CLOUD_PROJECT)")
    location = settings.location or env.get("GOOGLE_CLOUD_LOCATION") or "global"
    for name_, value in (("project", project), ("location", location)):
        if not _PLAIN.fullmatch(value):  # it becomes part of a URL that a token is sent to
            raise SettingsInvalid(f"--{name_} {value!r}: only letters, digits, '-', '.' and ':' are allowed")
    return Vertex(checked or vertex_host(location), GoogleToken(), project, location)


def unapproved_host(settings: Settings) -> str | None:
    """Return a host that would get the key although only a file in the current folder names it; else None."""
    if settings.base_url_found_in is None or settings.provider == "simulator":
        return None
    return host_of(settings.base_url or "") if is_third_party_host(settings.base_url) else None


def require_approved_host(settings: Settings) -> None:
    """Raise SettingsInvalid if the user has not agreed to the host. The command line asks before it calls this."""
    if host := unapproved_host(settings):
        raise SettingsInvalid(
            f"{settings.base_url_found_in} in the current folder sends the API key to {host}, which is not Google's: "
            f"nothing was sent. If that is meant, add --yes, or --config {settings.base_url_found_in}"
        )


def vertex_host(location: str) -> str:
    """Return Google's host for a location: global, a multi-region (us, eu) or a region. (api: 5)"""
    if location == "global":
        return "https://aiplatform.googleapis.com"
    if location in ("us", "eu"):
        return f"https://aiplatform.{location}.rep.googleapis.com"
    return f"https://{location}-aiplatform.googleapis.com"


def check_base_url(url: str) -> str:
    """Return `url` without a trailing slash. Raises SettingsInvalid if the key would travel unencrypted."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise SettingsInvalid(f"--base-url {url!r}: expected https://HOST or http://127.0.0.1:PORT") from None
    if parts.username or parts.password or parts.query or parts.fragment:
        raise SettingsInvalid("--base-url takes no user, password, query or fragment")
    if parts.scheme not in ("http", "https") or not host_of(url):
        raise SettingsInvalid(f"--base-url {url!r}: expected https://HOST or http://127.0.0.1:PORT")
    if parts.scheme == "http" and not is_loopback(host_of(url)):
        raise SettingsInvalid(f"--base-url {url!r}: plain http is only for this machine (127.0.0.1); use https")
    return url.rstrip("/")
