"""Reads credentials, adds them to requests, renews them, and redacts them from texts."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

from requests.auth import AuthBase
from requests.models import PreparedRequest

from imagen_batch.errors import Fatal, SettingsInvalid, Transient
from imagen_batch.prompts.sources import read_small
from imagen_batch.providers.http.explain_no_connection import explain_no_connection
from imagen_batch.providers.redaction import redact

_OAUTH_HOST = "https://oauth2.googleapis.com"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


class Credential(AuthBase):
    """Adds a secret to the header of a request, and removes it from any text."""

    header = "x-goog-api-key"
    prefix = ""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Authorize `request`. (Being an `auth` object, it also keeps `requests` from reading a .netrc.)"""
        name, value = self.header_line()
        request.headers[name] = value
        return request

    def header_line(self) -> tuple[str, str]:
        """Return the name and the value of the header that authorizes a request."""
        return self.header, self.prefix + self._secret

    def redact(self, text: str) -> str:
        """Return `text` without the secret."""
        return redact(text, self._secret)

    def refresh(self) -> bool:
        """Fetch a new secret; return False for a kind of credential that has none."""
        return False

    def __repr__(self) -> str:
        return f"{type(self).__name__}([key])"


class GoogleToken(Credential):
    """A bearer token from Google's application default credentials, renewed before it expires."""

    header = "Authorization"
    prefix = "Bearer "

    def __init__(self) -> None:
        try:
            import google.auth  # noqa: PLC0415 - an optional extra
            import google.auth.transport.requests  # noqa: PLC0415
        except ImportError as error:
            raise SettingsInvalid("--provider vertex needs: pip install 'imagen-batch[vertex]'") from error
        try:
            self._google, _ = google.auth.default(scopes=[_SCOPE])
        except (google.auth.exceptions.GoogleAuthError, OSError, ValueError) as error:
            raise SettingsInvalid(f"no Google credentials: {error}") from error
        self._transport = google.auth.transport.requests.Request()
        self._lock = threading.Lock()
        super().__init__("")

    def header_line(self) -> tuple[str, str]:
        """Return the header, with a new token if the old one has expired."""
        if not self._google.valid:
            self.refresh()
        return super().header_line()

    def refresh(self) -> bool:
        """Fetch a new token, once for all threads that found the old one expired."""
        before = self._secret
        with self._lock:
            if self._secret == before:
                self._fetch()
        return True

    def _fetch(self) -> None:
        from google.auth import exceptions  # noqa: PLC0415

        try:
            self._google.refresh(self._transport)  # type: ignore[no-untyped-call]
        except exceptions.TransportError as error:
            cause = explain_no_connection(error, _OAUTH_HOST, reached_before=bool(self._secret))
            if isinstance(cause, Fatal):
                raise cause from None
            raise Transient("no connection to Google's token service", kind="token") from error
        except exceptions.GoogleAuthError as error:
            if getattr(error, "retryable", False):
                raise Transient(f"Google's token service failed: {error}", kind="token") from error
            raise Fatal(f"Google refused to issue a token: {error}", kind="token", cause="auth") from error
        self._secret = self._google.token or ""


def read_key(env: Mapping[str, str], key_file: Path | None) -> str:
    """Return the API key: from the file if one is given, else from GOOGLE_API_KEY, else from GEMINI_API_KEY.

    Raises SettingsInvalid, which says how to give a key, if there is none. (api: 5)
    """
    if key_file is not None:
        try:
            key = read_small(key_file).decode("utf-8-sig").strip()
        except (OSError, UnicodeDecodeError):  # the argument may be the key itself: it is not repeated
            raise SettingsInvalid("the file of --api-key-file can't be read") from None
    else:
        key = (env.get("GOOGLE_API_KEY") or env.get("GEMINI_API_KEY") or "").strip()
    if not key:
        raise SettingsInvalid(
            "no API key: set GOOGLE_API_KEY (or GEMINI_API_KEY), or give --api-key-file FILE. "
            "To rehearse without a key and without cost: --provider simulator"
        )
    if not key.isascii() or not key.isprintable() or " " in key or "\\" in key:
        raise SettingsInvalid("the API key contains characters that no key has; was something else pasted?")
    return key
