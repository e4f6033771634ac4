"""Vertex needs a token that expires. Google's library is faked, HTTP is real."""

import ssl
import sys
import types

import pytest

from imagen_batch.errors import Fatal, SettingsInvalid, Transient
from imagen_batch.providers.credentials import GoogleToken
from imagen_batch.simulator import Simulator
from tests.support.runs import IMAGEN, prompts, run


class GoogleError(Exception):
    """An exception of google.auth."""


class NoTokenService(GoogleError):
    """The token service did not reply."""


class Credentials:
    """The result of google.auth.default: a token that expires and can be renewed."""

    def __init__(self, *tokens):
        self._tokens = list(tokens)
        self.token = None
        self.valid = False
        self.renewals = 0

    def refresh(self, _transport):
        """The next token."""
        self.renewals += 1
        token = self._tokens.pop(0)
        if isinstance(token, Exception):
            raise token
        self.token = token
        self.valid = True


@pytest.fixture
def google(monkeypatch):
    """Let a test choose the credentials."""

    def give(credentials):
        auth = types.ModuleType("google.auth")
        auth.default = lambda scopes: (credentials, "project")
        auth.exceptions = types.ModuleType("google.auth.exceptions")
        auth.exceptions.GoogleAuthError = auth.exceptions.DefaultCredentialsError = GoogleError
        auth.exceptions.TransportError = NoTokenService
        transport = types.ModuleType("google.auth.transport")
        by_requests = types.ModuleType("google.auth.transport.requests")
        by_requests.Request = object
        google = types.ModuleType("google")
        google.auth, auth.transport, transport.requests = auth, transport, by_requests
        for module in (google, auth, auth.exceptions, transport, by_requests):
            monkeypatch.setitem(sys.modules, module.__name__, module)
        return credentials

    return give


def test_a_token_that_the_service_no_longer_accepts_is_renewed_once(tmp_path, google):
    """There is a 401, a new token, and the image."""
    credentials = google(Credentials("invalid", "good"))
    with Simulator() as sim:
        ran = run(prompts(tmp_path, "one"), sim, provider="vertex", project="p")
        assert ran.statuses == ["ok"]
        paths = {one.path for one in sim.requests}
    assert credentials.renewals == 2
    assert paths == {
        "/v1/projects/p/locations/global/publishers/google/models/gemini-nano-banana-2.1:generateContent"
    }


def test_a_transient_error_of_the_token_service_is_retried(tmp_path, google):
    """It does not end the run."""
    google(Credentials(NoTokenService("later"), "good"))
    with Simulator() as sim:
        assert run(prompts(tmp_path, "one"), sim, provider="vertex", project="p").statuses == ["ok"]


def test_a_refused_token_stops_the_run(tmp_path, google):
    """The user has to sign in again."""
    google(Credentials(GoogleError("revoked"), GoogleError("revoked")))
    with Simulator() as sim:
        ran = run(prompts(tmp_path, "one"), sim, provider="vertex", project="p")
    assert ran.summary.exit_code == 2
    assert "revoked" in ran.summary.stopped_by


def test_a_renewed_token_that_is_refused_stops_the_run(tmp_path, google):
    """It is renewed once only."""
    google(Credentials(*["invalid"] * 9))
    with Simulator() as sim:
        ran = run(prompts(tmp_path, "one", "two"), sim, provider="vertex", project="p", concurrency=1)
        assert ran.summary.exit_code == 2
        assert len(sim.requests) == 2


def test_vertex_gets_the_options_that_only_vertex_accepts(tmp_path, google):
    """A seed for Imagen is sent with the watermark off, which Vertex requires."""
    google(Credentials("good"))
    with Simulator() as sim:
        parameters = {"add_watermark": False}
        ran = run(
            prompts(tmp_path, "one"),
            sim,
            provider="vertex",
            project="p",
            model=IMAGEN,
            seed=7,
            parameters=parameters,
        )
        assert ran.statuses == ["ok"]
        assert b'"seed":7' in sim.requests[0].body


def test_a_token_is_never_shown(google):
    """It is neither in the repr nor in a redacted text."""
    google(Credentials("ya29.secret"))
    token = GoogleToken()
    token.refresh()
    assert "ya29" not in repr(token)
    assert token.redact("x ya29.secret y") == "x [key] y"


class Retryable(GoogleError):
    """The token service says that a retry may help."""

    retryable = True


def test_a_refused_renewal_after_a_401_stops_the_run_with_googles_words(tmp_path, google):
    """The token expired during the run, and the user has to sign in again; it is not a bug."""
    google(Credentials("invalid", GoogleError("invalid_grant: Token has been revoked")))
    with Simulator() as sim:
        ran = run(prompts(tmp_path, "one", "two"), sim, provider="vertex", project="p", concurrency=1)
    assert ran.summary.exit_code == 2
    assert "invalid_grant: Token has been revoked" in ran.summary.stopped_by


@pytest.mark.parametrize("trouble", [NoTokenService("later"), Retryable("busy")])
def test_a_transient_error_of_the_token_service_after_a_401_is_retried(tmp_path, google, trouble):
    """The next attempt requests a token again."""
    google(Credentials("invalid", trouble, "good"))
    with Simulator() as sim:
        assert run(prompts(tmp_path, "one"), sim, provider="vertex", project="p").statuses == ["ok"]


def test_a_token_service_that_never_answers_ends_with_the_attempts(tmp_path, google):
    """Each attempt counts, though each began with a 401 that costs nothing."""
    google(Credentials("invalid", *[NoTokenService("later")] * 50))
    with Simulator() as sim:
        ran = run(prompts(tmp_path, "one"), sim, provider="vertex", project="p", max_attempts=3)
        assert len(sim.requests) == 3
    assert ran.statuses == ["failed"]


@pytest.mark.parametrize("error", [GoogleError("no credentials"), PermissionError("denied"), ValueError("malformed")])
def test_unreadable_credentials_are_reported_in_a_sentence(google, monkeypatch, error):
    """This holds for every exception of the library."""
    google(None)

    def fail(scopes):
        raise error

    monkeypatch.setattr(sys.modules["google.auth"], "default", fail)
    with pytest.raises(SettingsInvalid, match=str(error)):
        GoogleToken()


def test_a_token_service_whose_certificate_is_not_trusted_ends_the_run(google):
    """A proxy that inspects TLS does so for the token service, too; a token in mid-run is renewed later."""
    problem = ssl.SSLCertVerificationError(1, "certificate verify failed")
    problem.verify_code, problem.verify_message = 19, "self-signed certificate in certificate chain"
    credential = google_token(google, NoTokenService(problem), "first", NoTokenService(problem))
    with pytest.raises(Fatal, match=r"the certificate of oauth2\.googleapis\.com is not trusted") as caught:
        credential.refresh()
    assert caught.value.cause == "certificates"
    credential.refresh()
    with pytest.raises(Transient, match="no connection to Google's token service"):
        credential.refresh()


def google_token(google, *tokens):
    """Return a credential that gets these tokens."""
    google(Credentials(*tokens))
    return GoogleToken()
