"""Requests go to the right URL with the right credential."""

import pytest

from imagen_batch.errors import SettingsInvalid
from imagen_batch.providers.credentials import Credential, read_key
from imagen_batch.providers.endpoint_and_credential import check_base_url, make_provider, vertex_host
from imagen_batch.settings import make_settings


def test_the_variable_of_google_takes_precedence():
    """Google's SDK does the same."""
    assert read_key({"GOOGLE_API_KEY": "one", "GEMINI_API_KEY": "two"}, None) == "one"
    assert read_key({"GEMINI_API_KEY": "two"}, None) == "two"


def test_a_key_file_beats_the_environment(tmp_path):
    """The file from the command line overrides the environment."""
    file = tmp_path / "key"
    file.write_text("from-file\n")
    assert read_key({"GOOGLE_API_KEY": "one"}, file) == "from-file"


@pytest.mark.parametrize(
    "env", [{}, {"GOOGLE_API_KEY": "  "}, {"GOOGLE_API_KEY": "two words"}, {"GOOGLE_API_KEY": "naïve"}]
)
def test_a_missing_or_wrong_key_is_reported(env):
    """The key itself is not repeated."""
    with pytest.raises(SettingsInvalid) as caught:
        read_key(env, None)
    assert "naïve" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080/", "http://localhost:1", "http://[::1]:80", "https://example.com/x"]
)
def test_valid_addresses(url):
    """They are plain http on this machine, and https elsewhere."""
    assert check_base_url(url) == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com",
        "http://127.0.0.1.example.com",
        "ftp://x",
        "https://",
        "https://u:p@example.com",
        "x",
    ],
)
def test_addresses_where_a_key_would_leak(url):
    """A name that only looks like this machine is another machine."""
    with pytest.raises(SettingsInvalid):
        check_base_url(url)


def test_urls_of_both_hosts():
    """They are as documented. (api: 5)"""
    gemini = make_provider(make_settings({"prompts": "p"}), base_url=None, env={"GOOGLE_API_KEY": "k"})
    assert gemini.url("m", "predict") == "https://generativelanguage.googleapis.com/v1beta/models/m:predict"
    assert vertex_host("global") == "https://aiplatform.googleapis.com"
    assert vertex_host("eu") == "https://aiplatform.eu.rep.googleapis.com"
    assert vertex_host("us-central1") == "https://us-central1-aiplatform.googleapis.com"


def test_vertex_needs_a_project():
    """This is reported before anything else is tried."""
    with pytest.raises(SettingsInvalid, match="--project"):
        make_provider(make_settings({"prompts": "p", "provider": "vertex"}), base_url=None, env={})


def test_a_credential_is_never_shown():
    """It is neither in the repr nor in a redacted text."""
    credential = Credential("s3cret-key")
    assert "s3cret" not in repr(credential)
    assert credential.redact("a s3cret-key b") == "a [key] b"
