"""A name is resolved once a minute, and its last addresses are used while it can't be."""

import socket

import pytest

from imagen_batch.providers.http import resolve_host as module
from imagen_batch.providers.http.resolve_host import mark_stale, resolve_host


@pytest.fixture
def resolver(monkeypatch):
    """Return the list of answers of name servers, which a test fills; an exception is raised."""
    monkeypatch.setattr(module, "_known", {})
    answers = []

    def getaddrinfo(*_):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return answers


@pytest.fixture
def resolved_at():
    """Resolve the name at this time, in seconds."""
    return lambda now: resolve_host("service.test", 443, clock=lambda: now)


def test_a_name_is_resolved_once_a_minute(resolver, resolved_at):
    """Each of a thousand connections would ask the name server otherwise."""
    resolver += [["first"], ["second"]]
    assert [resolved_at(now) for now in (0, 1, 59, 61)] == [["first"], ["first"], ["first"], ["second"]]


def test_the_last_addresses_are_used_while_name_servers_are_down(resolver, resolved_at):
    """They are asked again every few seconds; the certificate proves that it is still the service."""
    resolver += [["first"], socket.gaierror(-3, "try again"), ["second"]]
    assert [resolved_at(now) for now in (0, 61, 65)] == [["first"]] * 3
    assert resolved_at(72) == ["second"]


def test_a_name_that_was_never_resolved_has_no_addresses(resolver, resolved_at):
    """The next connection asks again at once."""
    resolver += [socket.gaierror(-2, "not known"), ["first"]]
    with pytest.raises(socket.gaierror):
        resolved_at(0)
    assert resolved_at(0.1) == ["first"]


def test_addresses_that_do_not_answer_are_resolved_again(resolver, resolved_at):
    """A service may have moved."""
    resolver += [["first"], ["second"]]
    assert resolved_at(1) == ["first"]
    mark_stale("service.test", 443)
    assert resolved_at(1) == ["second"]


def test_other_threads_use_the_old_addresses_while_one_resolves(resolver, resolved_at, monkeypatch):
    """A slow name server does not stop all requests every minute."""
    resolver += [["first"]]
    resolved_at(0)
    during = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: during.append(resolved_at(61)) or ["second"])
    assert resolved_at(61) == ["second"]
    assert during == [["first"]]
