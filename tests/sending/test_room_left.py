"""`plan` shows what the rolling periods leave and whether a run fits, as a run decides it, and writes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imagen_batch.errors import SettingsInvalid
from imagen_batch.sending.period.grant import period_grant
from imagen_batch.sending.period.room_left import find_room
from imagen_batch.settings import Settings, load_settings
from imagen_batch.simulator import Simulator

NOW = 1_800_000_000.0


def _settings(root: Path, name: str, *limits: str) -> Settings:
    given = {"prompts": "p.csv", "out": str(root / name), "max_cost_per": limits or ("30d=10",)}
    return load_settings(given, env={}, cwd=root)


def _files(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_nothing_is_written_where_no_run_has_been(tmp_path: Path) -> None:
    root = tmp_path / "outputs"
    [room] = find_room(_settings(root, "a"))
    assert (room.counted, room.left, room.root) == (0.0, 10.0, str(root))
    assert room.fits(10.0)
    assert not room.fits(10.01)
    assert list(tmp_path.iterdir()) == []


def test_what_a_running_run_holds_is_not_left(tmp_path: Path) -> None:
    """Each limit counts on its own, and the files of the running run stay."""
    limits = ("30d=10", "1d=4")
    with period_grant(_settings(tmp_path, "running", *limits), wanted=lambda: 3.0, clock=lambda: NOW):
        before = _files(tmp_path)
        rooms = find_room(_settings(tmp_path, "next", *limits), clock=lambda: NOW)
        assert [room.left for room in rooms] == [7.0, 1.0]
        assert _files(tmp_path) == before
        killed = tmp_path / ".imagen-batch-budget" / "run-killed.json"
        killed.write_text(next(text for name, text in before.items() if "run-" in name).decode())
        assert [room.left for room in find_room(_settings(tmp_path, "next", *limits))] == [7.0, 1.0]
        assert killed.exists()
    assert [room.left for room in find_room(_settings(tmp_path, "next", *limits))] == [10.0, 4.0]


def test_a_place_whose_sum_is_not_known_is_refused_as_by_a_run(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="in a bucket"):
        find_room(Settings(prompts="p.csv", out="s3://bucket/run", max_cost_per=("30d=10",)))


def test_a_plan_says_whether_the_run_fits(shell) -> None:  # type: ignore[no-untyped-def]
    """A night has spent some of the money; text and JSON agree."""
    with Simulator() as sim:
        (shell.here / "p.csv").write_text("prompt\none\ntwo\nthree\n")
        job = ("p.csv", "--out", "o/{date}", "--provider", "simulator", "--base-url", sim.url, "--price", "0.04")
        limit = ("--max-cost-per", "30d=0.20")
        done = shell.run("plan", *job, "--date", "2026-10-01", *limit)
        assert f"30d=0.20 leaves $0.20 of $0.20 below {shell.here / 'o'}, for rehearsals" in done.out
        assert "; this run fits" in done.out
        assert shell.run("run", *job, "--date", "2026-10-01", *limit).code == 0
        before = _files(shell.here)
        done = shell.run("plan", *job, "--date", "2026-10-02", *limit)
        assert "30d=0.20 leaves $0.08 of $0.20" in done.out
        assert "($0.12 is spent, possibly charged or reserved)" in done.out
        assert "this run does not fit: it stops with code 6" in done.out
        done = shell.run("plan", *job, "--date", "2026-10-01", *limit)
        assert "this run needs none of it" in done.out
        assert _files(shell.here) == before
        [period] = json.loads(shell.run("plan", *job, "--date", "2026-10-02", *limit, "--json").out)["periods"]
        assert (period["limit"], period["left_usd"], period["fits"]) == ("30d=0.20", 0.08, False)
        assert shell.run("run", *job, "--date", "2026-10-02", *limit).code == 6
        done = shell.run("plan", *job, "--date", "2026-10-03", *limit)
        assert "this run does not fit: it sends nothing and ends with code 6" in done.out
