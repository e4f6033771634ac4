"""The log of a run's own Prefect server stays below a few megabytes."""

from pathlib import Path

from imagen_batch.orchestration.server.bound_log_size import KEPT_BYTES, LOG, MAX_BYTES, bound_log_size
from imagen_batch.orchestration.server.own_server import OwnServer


def _write_long_log(home: Path) -> Path:
    log = home / LOG
    line = b"x" * 98 + b"\n"
    log.write_bytes(b"first\n" + line * (MAX_BYTES // len(line) + 1) + b"last\n")
    return log


def test_a_long_log_is_emptied_and_its_end_is_kept(tmp_path):
    """What a reader looks for is at the end; it begins with a whole line."""
    log = _write_long_log(tmp_path)
    bound_log_size(log)
    kept = (tmp_path / f"{LOG}.1").read_bytes()
    assert log.stat().st_size == 0
    assert kept.endswith(b"last\n")
    assert kept.startswith(b"x" * 98 + b"\n")
    assert len(kept) <= KEPT_BYTES


def test_a_server_that_has_the_log_open_continues_at_its_beginning(tmp_path):
    """The file is not replaced: several servers append to it."""
    log = _write_long_log(tmp_path)
    with log.open("ab", buffering=0) as server:
        bound_log_size(log)
        server.write(b"next\n")
    assert log.read_bytes() == b"next\n"


def test_a_short_log_stays_and_none_is_no_error(tmp_path):
    """Nothing is written then."""
    bound_log_size(tmp_path / LOG)
    (tmp_path / LOG).write_bytes(b"short\n")
    bound_log_size(tmp_path / LOG)
    assert [path.name for path in tmp_path.iterdir()] == [LOG]
    assert (tmp_path / LOG).read_bytes() == b"short\n"


def test_each_run_bounds_the_log_of_earlier_ones(tmp_path):
    """Also where each of them was short-lived."""
    log = _write_long_log(tmp_path)
    OwnServer({"PREFECT_HOME": str(tmp_path)}, start=False)
    assert log.stat().st_size == 0
