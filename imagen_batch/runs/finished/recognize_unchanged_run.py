"""Recognizes a run that has nothing to do and whose tables are current, without reading its rows.

After a run that has a result for every sample, a record is stored of everything that its tables were made from and of
the tables themselves. As long as all of it is unchanged, the same command, or `resume`, finds the same result. After
any difference, doubt or error the run proceeds as usual.

What is compared: the settings, the digests of the prompt file, of the stored settings and of this program, names and
sizes of the ledger's files, the tables with their times and inodes, and the times of the image folders, which change
when a file in them is added, renamed or removed. Up to 50,000 images are compared by name, size and time; where there
are more, `audit` finds one that was changed in place.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from itertools import islice
from pathlib import Path

import msgspec

from imagen_batch.images.store import IMAGES
from imagen_batch.inputs.reference_facts import REFERENCES
from imagen_batch.inputs.stored_input_and_settings import (
    EXPANSION_FILES,
    RUN,
    SETTINGS,
    file_sha256,
    load_settings_to_continue,
)
from imagen_batch.ledger.files import ledger_files
from imagen_batch.reports.summary import Summary
from imagen_batch.reports.tables.names_of_replaced_files import CARD, TABLE_FILES
from imagen_batch.runs.finished.may_hold_finished_run import RECORD
from imagen_batch.settings import Settings
from imagen_batch.storage import LEDGER, Folder, open_storage

_MAX_BYTES = 2**22
_MAX_FOLDERS = 5_000
_MAX_IMAGES = 50_000

FileFacts = tuple[int, int, int, int]  # bytes, times of content and inode in ns, inode


@dataclass(frozen=True, slots=True)
class _State:
    """Everything that the tables of a finished run depend on, and the tables."""

    program: str
    stored: tuple[str | None, str | None]
    ledger: tuple[tuple[str, int], ...]
    tables: tuple[FileFacts | None, ...]
    folders: tuple[tuple[str, int], ...]
    images: str  # a digest of names, sizes and times; empty where there are too many


@dataclass(frozen=True, slots=True)
class _Record:
    inputs: dict[str, str]  # settings that find this result, with the digest of their prompt file
    state: _State
    summary: Summary


def find_current_summary(settings: Settings) -> Summary | None:
    """Return the summary of a finished run that these settings would repeat; None if anything may have changed."""
    with suppress(OSError, ValueError, RecursionError, TypeError):
        folder = _folder(settings)
        if folder is None or (folder / RECORD).stat().st_size > _MAX_BYTES:
            return None
        record = msgspec.json.decode((folder / RECORD).read_bytes(), type=_Record)
        names = [name for name, _ in record.state.folders]
        (settings_json, digest), *_ = _inputs(settings).items()
        if record.inputs.get(settings_json) == digest and record.state == _state(folder, names):
            return _repeat_summary(record.summary)
    return None


def record_finished_run(settings: Settings, summary: Summary) -> None:
    """Store what a later run compares, if every sample has a result. A failure is ignored."""
    with suppress(OSError, ValueError, TypeError):
        folder = _folder(settings)
        if folder is None or not _is_finished(summary) or not folder.samefile(summary.facts.out):
            return
        if _reads_other_files(folder, settings):
            return
        names = _folders_below(folder, IMAGES)
        if len(names) > _MAX_FOLDERS:
            return
        # The summary has its next steps already, which were derived from `run`.
        storable = replace(summary, facts=replace(summary.facts, run=None))
        # Repeating such a command would send or add something again.
        is_one_time = settings.retry or settings.other_input or settings.redo or settings.upgrade
        repeating = [load_settings_to_continue(folder, {}), *([] if is_one_time else [settings])]
        record = _Record(_inputs(*repeating), _state(folder, names), storable)
        content = msgspec.json.encode(record)
        if msgspec.json.decode(content, type=_Record) == record:
            with open_storage(settings.folder).write(RECORD) as target:
                target.write(content)


def describe_current(summary: Summary) -> str:
    """Explain why nothing is sent."""
    held = summary.asked - summary.counts["ok"]
    made = f"all {summary.counts['ok']:,} made" if not held else f"{summary.counts['ok']:,} made"
    verb = "is" if held == 1 else "are"
    others = f"; {held:,} refused or failed {verb} tried again only with --retry" if held else ""
    return f"Nothing to send: {made}{others}. The tables are current."


def _is_finished(summary: Summary) -> bool:
    counts, facts = summary.counts, summary.facts
    return (
        summary.state == "finished"
        and summary.exit_code in (0, 3, 4)
        and counts["ok"] + counts["filtered"] + counts["failed"] == summary.asked > 0
        and facts.stop_reason is None
        and not facts.unwritten
    )


def _reads_other_files(folder: Path, settings: Settings) -> bool:
    """Whether the rows depend on templates or reference images, whose content may change."""
    named = (settings.template, settings.styles, settings.characters, settings.matrix, settings.references)
    return any(named) or any((folder / name).exists() for name in (REFERENCES, EXPANSION_FILES))


def _repeat_summary(summary: Summary) -> Summary:
    """Return the summary of a run that did nothing."""
    now = datetime.now(UTC)
    facts = replace(summary.facts, started_at=now, finished_at=now, run_usd=0.0, run_attempts=0)
    models, groups = (
        tuple(replace(share, run_usd=0.0) for share in shares) for shares in (summary.models, summary.groups)
    )
    return replace(summary, facts=facts, models=models, groups=groups)


def _folder(settings: Settings) -> Path | None:
    """Return the run's folder on this machine; None where changes can't be detected."""
    storage = open_storage(settings.folder)
    if not isinstance(storage, Folder) or not stat.S_ISREG(os.stat(settings.prompts).st_mode):  # noqa: PTH116
        return None
    return storage.path


def _inputs(*all_settings: Settings) -> dict[str, str]:
    """Return the settings with absolute paths, and the digests of their prompt files."""
    inputs = {}
    for settings in all_settings:
        paths = {"prompts": os.path.abspath(settings.prompts), "out": os.path.abspath(settings.folder)}  # noqa: PTH100
        digest = file_sha256(Path(settings.prompts))
        if digest is None:
            raise FileNotFoundError(settings.prompts)
        inputs[settings.model_copy(update=paths).model_dump_json()] = digest
    return inputs


def _state(folder: Path, images: list[str]) -> _State:
    return _State(
        program=_program(),
        stored=(file_sha256(folder / SETTINGS), file_sha256(folder / RUN)),
        ledger=tuple((path.name, path.stat().st_size) for path in ledger_files(folder / LEDGER)),
        tables=tuple(_file_facts(folder / name) for name in (*TABLE_FILES, CARD)),
        folders=tuple((name, (folder / name).stat().st_mtime_ns) for name in images),
        images=_digest_of_files(folder, images),
    )


def _digest_of_files(folder: Path, names: list[str]) -> str:
    digest, count = sha256(), 0
    for name in names:
        with os.scandir(folder / name) as entries:
            files = sorted(islice((entry for entry in entries if entry.is_file()), _MAX_IMAGES + 1), key=_name_of)
        count += len(files)
        if count > _MAX_IMAGES:
            return ""
        for entry in files:
            facts = entry.stat()
            digest.update(
                f"{name}/{entry.name} {facts.st_size} {facts.st_mtime_ns}\n".encode(errors="surrogateescape")
            )
    return digest.hexdigest()


def _name_of(entry: os.DirEntry[str]) -> str:
    return entry.name


def _file_facts(path: Path) -> FileFacts | None:
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return None
    return facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino


def _folders_below(folder: Path, name: str) -> list[str]:
    """Return the names of a folder and of all folders in it."""
    return [name, *_walk(folder, name)]


def _walk(folder: Path, name: str) -> Iterator[str]:
    with os.scandir(folder / name) as entries:
        inner = [f"{name}/{entry.name}" for entry in entries if entry.is_dir(follow_symlinks=False)]
    for inner_name in sorted(inner):
        yield inner_name
        yield from _walk(folder, inner_name)


@cache
def _program() -> str:
    """Return a digest of this program: another version may write other tables."""
    package, digest = Path(__file__).parents[1], sha256()
    for path in sorted(package.rglob("*")):
        if path.suffix in (".py", ".toml"):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(package)} {len(content)} ".encode() + content)
    return digest.hexdigest()
