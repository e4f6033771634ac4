"""A run starts from the pace of earlier runs."""

import pytest

from imagen_batch.sending.pacing.earlier_pace import EarlierPace, EarlierPaces, earlier_paces
from imagen_batch.sending.pacing.pace import Pace
from imagen_batch.settings import make_settings
from tests.sending.test_pace import Bucket, drive

MEASURED = EarlierPace(1200.0, 24, 0.0)
DAY_S = 86_400.0


def paces(tmp_path, *, account="gemini ", now=1000.0):
    """Return the paces of an account in a file below `tmp_path`."""
    return EarlierPaces(tmp_path / "state" / "pace.json", account, clock=lambda: now)


def settings(**chosen):
    """Return settings for a prompt file that is never opened."""
    return make_settings({"prompts": "p.csv", **chosen})


def test_a_pace_is_stored_by_account_and_model(tmp_path):
    """Other accounts and models start without one."""
    paces(tmp_path).record({"a": MEASURED})
    assert paces(tmp_path).of("a") == EarlierPace(1200.0, 24, 1000.0)
    assert paces(tmp_path).of("b") is None
    assert paces(tmp_path, account="vertex  p us").of("a") is None


def test_a_pace_expires_after_a_week_or_with_too_little_evidence(tmp_path):
    """A time in the future, stored by a wrong clock, does not count either."""
    paces(tmp_path).record({"a": MEASURED})
    assert paces(tmp_path, now=1000.0 + 6 * DAY_S).of("a") is not None
    assert paces(tmp_path, now=1000.0 + 8 * DAY_S).of("a") is None
    assert paces(tmp_path, now=900.0).of("a") is None
    paces(tmp_path).record({"a": None})
    assert paces(tmp_path).of("a") is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"[" * 5000,
        b'{"gemini  a": 5}',
        b'{"gemini  a": {"per_minute": 1e300, "in_flight": 9, "at": 999}}',
        b'{"gemini  a": {"per_minute": -3, "in_flight": 9, "at": 999}}',
        b'{"gemini  a": {"per_minute": null, "in_flight": 0, "at": 999}}',
        b'{"gemini  a": {"per_minute": null, "in_flight": 1000000000, "at": 999}}',
        b'{"gemini  a": {"per_minute": 60, "in_flight": 9, "at": 999}}' + b" " * 200_000,
    ],
)
def test_a_damaged_file_counts_as_empty(tmp_path, content):
    """The next run replaces it."""
    file = tmp_path / "state" / "pace.json"
    file.parent.mkdir()
    file.write_bytes(content)
    assert paces(tmp_path).of("a") is None
    paces(tmp_path).record({"a": MEASURED})
    assert paces(tmp_path).of("a") is not None


def test_a_folder_that_cannot_be_written_does_not_matter(tmp_path):
    """A file is where the folder should be."""
    (tmp_path / "state").write_text("")
    paces(tmp_path).record({"a": MEASURED})
    assert paces(tmp_path).of("a") is None


def test_the_file_stays_small_and_private(tmp_path):
    """The oldest entries are dropped first."""
    for number in range(130):
        paces(tmp_path).record({f"m{number}": MEASURED})
    assert paces(tmp_path).of("m29") is None
    assert paces(tmp_path).of("m30") is not None
    file = tmp_path / "state" / "pace.json"
    assert file.stat().st_mode & 0o077 == 0
    assert [path.name for path in file.parent.iterdir()] == ["pace.json"]


def test_no_key_is_stored_and_accounts_are_separate(tmp_path):
    """Only provider, host, project and location name an account."""
    env = {"XDG_STATE_HOME": str(tmp_path), "GEMINI_API_KEY": "AIza-secret", "GOOGLE_CLOUD_PROJECT": "mine"}
    earlier_paces(settings(provider="gemini"), env).record({"a": MEASURED})
    earlier_paces(settings(provider="vertex", location="us"), env).record({"a": MEASURED})
    content = (tmp_path / "imagen-batch" / "pace.json").read_text()
    assert "secret" not in content
    assert earlier_paces(settings(provider="vertex", location="us", project="other"), env).of("a") is None
    assert earlier_paces(settings(provider="vertex", location="us", project="mine"), env).of("a") is not None


@pytest.mark.parametrize(
    ("chosen", "env"),
    [
        ({"provider": "simulator"}, {"HOME": "/nowhere"}),
        ({"provider": "gemini", "requests_per_minute": 60}, {"HOME": "/nowhere"}),
        ({"provider": "gemini"}, {}),
    ],
)
def test_nothing_is_stored_for_a_temporary_service_or_a_given_rate(chosen, env):
    """The run's own simulator is a new service each time."""
    assert earlier_paces(settings(**chosen), env)._file is None


def test_a_found_rate_is_kept_from_the_first_second():
    """The next run has hardly a refusal, even if a burst was saved up since."""
    pace = Pace(per_minute=None, in_flight=64)
    drive(pace, Bucket(20, 20, names_limit=False), requests=2000)
    assert pace.observed.per_minute == pytest.approx(1200, rel=0.05)
    for burst in (20, 60):
        next_pace = Pace(per_minute=None, in_flight=64)
        next_pace.start_from(pace.observed)
        seconds, refused = drive(next_pace, Bucket(20, burst, names_limit=False), requests=600)
        assert refused <= 0.02 * 600
        assert (600 - burst) / 20 / seconds >= 0.9


@pytest.mark.parametrize(
    "outdated", [EarlierPace(12_000, 64, 0.0), EarlierPace(120, 64, 0.0), EarlierPace(None, 64, 0.0)]
)
def test_an_outdated_pace_is_corrected(outdated):
    """A quota that is now ten times smaller or larger costs few refusals and little time."""
    pace = Pace(per_minute=None, in_flight=64)
    pace.start_from(outdated)
    seconds, refused = drive(pace, Bucket(20, 20, names_limit=False), requests=2000)
    assert refused <= 0.06 * 2000
    assert (2000 - 20) / 20 / seconds >= 0.45


def test_an_earlier_pace_is_bounded_by_the_settings():
    """A given rate is kept, and never more is in flight than --concurrency."""
    with_rate = Pace(per_minute=60, in_flight=8)
    with_rate.start_from(MEASURED)
    assert with_rate.per_minute == 60
    assert with_rate.observed is None
    narrow = Pace(per_minute=None, in_flight=8)
    narrow.start_from(EarlierPace(None, 64, 0.0))
    started = 0
    while narrow.wait(0.0) <= 0:
        narrow.start(0.0)
        started += 1
    assert started == 8


def test_too_little_evidence_is_not_stored():
    """A handful of replies or an outage is no evidence about the limit of the service."""
    pace = Pace(per_minute=None, in_flight=64)
    for _ in range(50):
        pace.record_success(pace.start(0.0), 1.0)
    assert pace.observed is None
    for _ in range(50):
        pace.record_success(pace.start(0.0), 1.0)
    assert pace.observed == EarlierPace(None, 1, 0.0)
    pace.start(1.0)
    pace.record_failure(2.0)
    assert pace.observed is None
