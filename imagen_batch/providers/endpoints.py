"""Where is a request sent, and how is it authorised?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from imagen_batch.errors import SettingsInvalid
from imagen_batch.providers.credentials import Credential, GoogleToken, read_key
from imagen_batch.providers.hosts import host_of, is_strange
from imagen_batch.settings import Settings
from imagen_batch.system.loopback import is_loopback

GEMINI_HOST = "https://generativelanguage.googleapis.com"
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:-]*")


class Provider(Protocol):
    """The smallest contract of a place that makes pictures."""

    @property
    def name(self) -> str:
        """As in --provider."""

    @property
    def vertex(self) -> bool:
        """Whether Vertex's own fields are understood."""

    @property
    def base_url(self) -> str:
        """The host, without a slash at its end."""

    @property
    def credential(self) -> Credential:
        """What authorises a request."""

    def url(self, model: str, verb: str) -> str:
        """Where to post a request for `model`."""


@dataclass(frozen=True)
class GeminiApi:
    """The Gemini API, anything that speaks like it, and the simulator. (api: 5)"""

    base_url: str
    credential: Credential
    name: str = "gemini"
    vertex: bool = False

    def url(self, model: str, verb: str) -> str:
        """Where to post a request for `model`."""
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
        """Where to post a request for `model`."""
        place = f"projects/{self.project}/locations/{self.location}"
        return f"{self.base_url}/v1/{place}/publishers/google/models/{model}:{verb}"


def make_provider(settings: Settings, *, base_url: str | None, env: Mapping[str, str]) -> Provider:
    """The provider that `settings` name, with its credential. `base_url` beats Google's own host.

    Raises SettingsInvalid for a missing credential, project, or an address that must not be used.
    """
    checked = None if base_url is None else check_base_url(base_url)
    refuse_unagreed_host(settings)
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
    for what, value in (("project", project), ("location", location)):
        if not _PLAIN.fullmatch(value):  # it becomes part of an address that a token is sent to
            raise SettingsInvalid(f"--{what} {value!r}: letters, digits, '-', '.' and ':' make a {what}")
    return Vertex(checked or vertex_host(location), GoogleToken(), project, location)


def host_to_agree_to(settings: Settings) -> str | None:
    """The host that would get the key although only a file in the current folder names it, if there is one."""
    if settings.base_url_found_in is None or settings.provider == "simulator":
        return None
    return host_of(settings.base_url or "") if is_strange(settings.base_url) else None


def refuse_unagreed_host(settings: Settings) -> None:
    """Raise SettingsInvalid where the user has not agreed to the host. Whoever can ask, asks before."""
    if host := host_to_agree_to(settings):
        raise SettingsInvalid(
            f"{settings.base_url_found_in} in the current folder sends the API key to {host}, which is not Google's: "
            f"nothing was sent. If that is meant, add --yes, or --config {settings.base_url_found_in}"
        )


def vertex_host(location: str) -> str:
    """Google's host for a location: global, a multi-region (us, eu) or a region. (api: 5)"""
    if location == "global":
        return "https://aiplatform.googleapis.com"
    if location in ("us", "eu"):
        return f"https://aiplatform.{location}.rep.googleapis.com"
    return f"https://{location}-aiplatform.googleapis.com"


def check_base_url(url: str) -> str:
    """`url` without a trailing slash. Raises SettingsInvalid where a key would travel in clear."""
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
