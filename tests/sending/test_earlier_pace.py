"""A run begins with the pace that earlier runs found."""

import pytest

from imagen_batch.sending.pacing.earlier_pace import EarlierPace, EarlierPaces, earlier_paces
from imagen_batch.sending.pacing.pace import Pace
from imagen_batch.settings import make_settings
from tests.sending.test_pace import Bucket, drive

FOUND = EarlierPace(1200.0, 24, 0.0)
DAY_S = 86_400.0


def paces(tmp_path, *, account="gemini ", now=1000.0):
    """Return the paces of an account in a file below `tmp_path`."""
    return EarlierPaces(tmp_path / "state" / "pace.json", account, clock=lambda: now)


def settings(**chosen):
    """Return settings for a prompt file that nobody opens."""
    return make_settings({"prompts": "p.csv", **chosen})


def test_a_pace_is_remembered_by_account_and_model(tmp_path):
    """Others start without one."""
    paces(tmp_path).record({"a": FOUND})
    assert paces(tmp_path).of("a") == EarlierPace(1200.0, 24, 1000.0)
    assert paces(tmp_path).of("b") is None
    assert paces(tmp_path, account="vertex  p us").of("a") is None


def test_a_pace_is_forgotten_after_a_week_and_where_too_little_was_seen(tmp_path):
    """One from the future, which a wrong clock stored, does not count either."""
    paces(tmp_path).record({"a": FOUND})
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
def test_a_file_that_makes_no_sense_counts_as_empty(tmp_path, content):
    """It is written anew by the next run."""
    file = tmp_path / "state" / "pace.json"
    file.parent.mkdir()
    file.write_bytes(content)
    assert paces(tmp_path).of("a") is None
    paces(tmp_path).record({"a": FOUND})
    assert paces(tmp_path).of("a") is not None


def test_a_folder_that_cannot_be_written_does_not_matter(tmp_path):
    """A file is where the folder should be."""
    (tmp_path / "state").write_text("")
    paces(tmp_path).record({"a": FOUND})
    assert paces(tmp_path).of("a") is None


def test_the_file_stays_small_and_private(tmp_path):
    """The oldest entries leave first."""
    for number in range(130):
        paces(tmp_path).record({f"m{number}": FOUND})
    assert paces(tmp_path).of("m29") is None
    assert paces(tmp_path).of("m30") is not None
    file = tmp_path / "state" / "pace.json"
    assert file.stat().st_mode & 0o077 == 0
    assert [each.name for each in file.parent.iterdir()] == ["pace.json"]


def test_nothing_of_a_key_is_stored_and_accounts_are_kept_apart(tmp_path):
    """Only provider, host, project and location name an account."""
    env = {"XDG_STATE_HOME": str(tmp_path), "GEMINI_API_KEY": "AIza-secret", "GOOGLE_CLOUD_PROJECT": "mine"}
    earlier_paces(settings(provider="gemini"), env).record({"a": FOUND})
    earlier_paces(settings(provider="vertex", location="us"), env).record({"a": FOUND})
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
def test_nothing_is_remembered_without_a_lasting_service_or_with_a_given_rate(chosen, env):
    """A simulator of the run's own is a new one each time."""
    assert earlier_paces(settings(**chosen), env)._file is None


def test_a_found_rate_is_kept_from_the_first_second():
    """Also where a burst has been saved up since: the next run has hardly a refusal."""
    pace = Pace(per_minute=None, in_flight=64)
    drive(pace, Bucket(20, 20, names_limit=False), requests=2000)
    assert pace.observed.per_minute == pytest.approx(1200, rel=0.05)
    for burst in (20, 60):
        again = Pace(per_minute=None, in_flight=64)
        again.begin_as(pace.observed)
        seconds, refused = drive(again, Bucket(20, burst, names_limit=False), requests=600)
        assert refused <= 0.02 * 600
        assert (600 - burst) / 20 / seconds >= 0.9


@pytest.mark.parametrize(
    "wrong", [EarlierPace(12_000, 64, 0.0), EarlierPace(120, 64, 0.0), EarlierPace(None, 64, 0.0)]
)
def test_a_pace_that_holds_no_longer_is_corrected(wrong):
    """A quota that is ten times smaller or larger by now costs few refusals and little time."""
    pace = Pace(per_minute=None, in_flight=64)
    pace.begin_as(wrong)
    seconds, refused = drive(pace, Bucket(20, 20, names_limit=False), requests=2000)
    assert refused <= 0.06 * 2000
    assert (2000 - 20) / 20 / seconds >= 0.45


def test_an_earlier_pace_is_bounded_by_the_settings():
    """A given rate is kept, and never more is in flight than --concurrency."""
    given = Pace(per_minute=60, in_flight=8)
    given.begin_as(FOUND)
    assert given.per_minute == 60
    assert given.observed is None
    narrow = Pace(per_minute=None, in_flight=8)
    narrow.begin_as(EarlierPace(None, 64, 0.0))
    started = 0
    while narrow.wait(0.0) <= 0:
        narrow.start(0.0)
        started += 1
    assert started == 8


def test_too_little_evidence_is_not_remembered():
    """Neither a handful of replies nor an outage say what the service allows."""
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
