"""Every damage to a finished run is found, once, and none is invented."""

import csv
import shutil
from dataclasses import dataclass
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from damaged import with_chunk
from running import IMAGEN, Ran, prompts, run

from imagen_batch.audit import audit
from imagen_batch.findings import audit_text
from imagen_batch.set_aside import set_aside
from imagen_batch.simulator import Simulator

STATE = ".imagen-batch"
TEXTS = ("a mole", "a rat", "a toad", "a badger", "an otter", "a weasel")


@pytest.fixture(scope="module")
def sim():
    """A service that behaves."""
    with Simulator() as simulator:
        yield simulator


@pytest.fixture(scope="module")
def finished(tmp_path_factory, sim):
    """A run of six pictures, to be copied and never touched."""
    folder = tmp_path_factory.mktemp("finished")
    run(prompts(folder, *TEXTS), sim, model=IMAGEN)
    return folder


@dataclass
class Damaged:
    """A copy of the finished run, and ways to damage it. Rows count from 1."""

    home: Path
    folder: Path
    ran: Ran

    def file(self, row: int) -> Path:
        """The picture of a row."""
        return self.folder / self.ran.rows[row - 1]["file"]

    @property
    def ledger(self) -> Path:
        """The one ledger file of its only run."""
        return next((self.folder / STATE / "ledger").iterdir())

    def without_record(self, row: int, kind: str = "done") -> dict:
        """Take a row's record out of the ledger; returns it."""
        key = self.ran.rows[row - 1]["key"]
        lines = self.ledger.read_bytes().splitlines(keepends=True)
        taken = [line for line in lines if (one := orjson.loads(line))["key"] == key and one["t"] == kind]
        self.ledger.write_bytes(b"".join(line for line in lines if line not in taken))
        return orjson.loads(taken[0])

    def manifest(self, change) -> None:
        """Change the rows of manifest.parquet."""
        path = self.folder / "manifest.parquet"
        table = pq.read_table(path)
        rows = table.to_pylist()
        change(rows)
        pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)

    def manifest_csv(self, change) -> None:
        """Change the rows of manifest.csv."""
        path = self.folder / "manifest.csv"
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        names = list(rows[0])
        change(rows)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)


@pytest.fixture
def damaged(tmp_path, finished):
    """A copy that may be damaged."""
    home = tmp_path / "copy"
    shutil.copytree(finished, home)
    (home / "out" / STATE / "incoming").mkdir(exist_ok=True)
    return Damaged(home, home / "out", Ran(None, home / "out"))


def found(folder):
    """Kind, row and name of each finding."""
    return [(one.kind, one.row, Path(one.path).name if one.path else None) for one in audit(folder).findings]


def retouched(path):
    """The same picture with one more chunk: whole, and not the same bytes."""
    path.write_bytes(with_chunk(path.read_bytes(), b"teXt", b"mine"))


def cut(path):
    """Only its first half."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def test_a_fresh_run_is_clean(damaged):
    """Nothing is invented."""
    result = audit(damaged.folder)
    assert (result.findings, result.checked, result.clean) == ((), 6, True)
    assert audit_text(result).endswith("clean; 6 pictures are there and as they came")


def test_an_audit_changes_nothing(damaged):
    """Not even a file's time."""
    cut(damaged.file(1))
    before = {path: path.stat().st_mtime_ns for path in damaged.folder.rglob("*")}
    audit(damaged.folder)
    assert {path: path.stat().st_mtime_ns for path in damaged.folder.rglob("*")} == before


def _gone(it):
    it.file(2).unlink()
    return "missing", 2, it.file(2).name


def _cut(it):
    cut(it.file(2))
    return "truncated", 2, it.file(2).name


def _emptied(it):
    it.file(2).write_bytes(b"")
    return "truncated", 2, it.file(2).name


def _another_file_type(it):
    it.file(2).write_bytes(b"<html>not found</html>")
    return "truncated", 2, it.file(2).name


def _bit_turned(it):
    data = bytearray(it.file(2).read_bytes())
    data[len(data) // 2] ^= 1
    it.file(2).write_bytes(data)
    return "truncated", 2, it.file(2).name


def _retouched(it):
    retouched(it.file(2))
    return "altered", 2, it.file(2).name


def _overwritten_by_another(it):
    shutil.copyfile(it.file(3), it.file(2))
    return "altered", 2, it.file(2).name


def _renamed(it):
    it.file(2).rename(it.file(2).with_name("best.png"))
    return "missing", 2, it.file(2).name


def _another_extension(it):
    it.file(2).rename(it.file(2).with_suffix(".jpg"))
    return "mislabelled", 2, it.file(2).name


def _notes_of_ones_own(it):
    (it.folder / "images" / "notes.txt").write_text("the otter is the best")
    return "foreign", None, "notes.txt"


def _picture_of_ones_own(it):
    (it.folder / "images" / "mine").mkdir()
    shutil.copyfile(it.file(2), it.folder / "images" / "mine" / "own.png")
    retouched(it.folder / "images" / "mine" / "own.png")
    return "foreign", None, "own.png"


def _copied(it):
    shutil.copyfile(it.file(2), it.file(2).with_name("best.png"))
    return "duplicated", None, "best.png"


def _without_a_record(it):
    it.without_record(2)
    return "unrecorded", 2, it.file(2).name


def _killed_before_the_record(it):
    it.without_record(2)
    incoming = it.folder / STATE / "incoming" / f"{it.ran.rows[1]['key']}_1"
    incoming.hardlink_to(it.file(2))
    return "unrecorded", 2, incoming.name


def _killed_before_the_name(it):
    it.without_record(2)
    incoming = it.folder / STATE / "incoming" / f"{it.ran.rows[1]['key']}_1"
    it.file(2).rename(incoming)
    return "unrecorded", 2, incoming.name


def _manifest_gone(it):
    (it.folder / "manifest.parquet").unlink()
    return "stale", None, "manifest.parquet"


def _csv_gone(it):
    (it.folder / "manifest.csv").unlink()
    return "stale", None, "manifest.csv"


def _manifest_torn(it):
    cut(it.folder / "manifest.parquet")
    return "stale", None, "manifest.parquet"


def _row_gone(it):
    it.manifest(lambda rows: rows.pop(1))
    return "stale", None, "manifest.parquet"


def _row_twice(it):
    it.manifest(lambda rows: rows.append(rows[1]))
    return "stale", None, "manifest.parquet"


def _row_too_many(it):
    it.manifest(lambda rows: rows.append({**rows[1], "row": 7, "file": None, "status": "failed"}))
    return "stale", None, "manifest.parquet"


def _other_status(it):
    it.manifest(lambda rows: rows[1].update(status="filtered"))
    return "stale", None, "manifest.parquet"


def _csv_row_gone(it):
    it.manifest_csv(lambda rows: rows.pop(1))
    return "stale", None, "manifest.csv"


def _other_hash(it):
    it.manifest(lambda rows: rows[1].update(sha256="0" * 64))
    return "mislabelled", 2, "manifest.parquet"


def _other_type(it):
    it.manifest(lambda rows: rows[1].update(mimeType="image/webp"))
    return "mislabelled", 2, "manifest.parquet"


def _other_file(it):
    it.manifest(lambda rows: rows[1].update(file=rows[2]["file"]))
    return "mislabelled", 2, "manifest.parquet"


def _other_row(it):
    it.manifest(lambda rows: rows[1].update(row=70))
    return "mislabelled", 2, "manifest.parquet"


def _csv_other_file(it):
    it.manifest_csv(lambda rows: rows[1].update(file="images/nowhere.png"))
    return "mislabelled", 2, "manifest.csv"


def _summary_gone(it):
    (it.folder / "summary.json").unlink()
    return "stale", None, "summary.json"


DAMAGES = [damage for name, damage in list(globals().items()) if name.startswith("_") and hasattr(damage, "__code__")]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__.strip("_"))
def test_each_damage_is_found_once_and_nothing_else(damaged, damage):
    """Kind, row and path are those of what was done."""
    expected = damage(damaged)
    assert found(damaged.folder) == [expected]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__.strip("_"))
def test_each_damage_is_mended(damaged, damage, sim):
    """What a repair can't know to be unwanted stays; all else is clean after it."""
    damage(damaged)
    before = contents(damaged.folder / "images")
    set_aside(audit(damaged.folder), damaged.folder)
    run(damaged.home / "prompts.csv", sim, model=IMAGEN, retry="missing")
    left = {one.kind for one in audit(damaged.folder).findings}
    assert left <= {"foreign", "duplicated"}
    assert before <= contents(damaged.folder / "images") | contents(damaged.folder / STATE / "set-aside")


def contents(folder):
    """The bytes of all files below."""
    return {path.read_bytes() for path in folder.rglob("*") if path.is_file()}
