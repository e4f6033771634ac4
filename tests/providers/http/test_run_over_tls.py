"""A whole run over TLS: a certificate that is not trusted ends it at once, unpaid, and it continues afterwards."""

import time

import pytest

from benchmarks.support.certificate import create_certificate
from benchmarks.support.replay_server import Manner, replay
from tests.support.runs import prompts, run


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Return a file with a certificate for this machine, and its key."""
    return create_certificate(tmp_path_factory.mktemp("tls") / "cert.pem")


def test_a_run_ends_at_an_untrusted_certificate_and_continues_when_it_is_trusted(certificate, tmp_path, monkeypatch):
    """No row fails, nothing counts as charged, and no time is spent on retries."""
    source = prompts(tmp_path, *(f"cat {number}" for number in range(40)))
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    with replay(Manner(tiny=True, certificate=str(certificate), chunk_bytes=100)) as service:
        began = time.monotonic()
        stopped = run(source, None, base_url=service.url, outage_limit=3.0, wait_initial=1.0)
        assert time.monotonic() - began < 10
        assert set(stopped.statuses) == {"not_attempted"}
        assert stopped.summary.exit_code == 2
        assert stopped.summary.cost_high_usd == 0.0
        assert "REQUESTS_CA_BUNDLE" in str(stopped.summary.next_steps)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        finished = run(source, None, base_url=service.url)
        assert service.tally().replies == 40
    assert set(finished.statuses) == {"ok"}
