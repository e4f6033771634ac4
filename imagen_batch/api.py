"""Offers the package to Python programs and notebooks; see `imagen_batch/__init__.py`.

`run` works without Prefect, in threads of this process. It sets no signal handlers and configures no logging. For
Dask, Ray, deployments and Prefect's pages use `imagen_batch.orchestration.generate_images` or the command line.
"""

from __future__ import annotations

import logging
import os
import shlex
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import UTC, datetime
from io import BytesIO
from os import PathLike
from typing import TYPE_CHECKING, Any, Union

from imagen_batch.cli.plan_report import open_preview, plan_facts
from imagen_batch.errors import FolderBusy, InputInvalid, SettingsInvalid
from imagen_batch.inputs.reconcile_with_folder import prepare_plan
from imagen_batch.inputs.table_to_csv import table_to_csv
from imagen_batch.monitoring.start_and_end import Follow, watch_run
from imagen_batch.orchestration.execution import Execution
from imagen_batch.planning.pending import count_pending
from imagen_batch.records import SampleResult
from imagen_batch.reports.input_problems import problems_text
from imagen_batch.reports.next_steps import make_absolute
from imagen_batch.reports.summary import Summary
from imagen_batch.review.decisions.record_decisions import remember_applied
from imagen_batch.review.decisions.take_review_into_run import review_of_run
from imagen_batch.runs.run import Run, open_run
from imagen_batch.settings import Settings, load_settings
from imagen_batch.settings.option_names_as_arguments import name_arguments

if TYPE_CHECKING:
    import pandas as pd

    from imagen_batch.exports.iterate_rows_and_images import RowAndImage

Prompts = Union[str, PathLike[str], "pd.DataFrame"]
OnResults = Callable[[tuple[SampleResult, ...]], None]

_POLL_S = 0.2

_log = logging.getLogger("imagen_batch")


def run(prompts: Prompts, *, on_results: OnResults | None = None, **settings: Any) -> Summary:
    """Make the images of a prompt file, or of a pandas table with the same columns, and return the run's summary.

    Settings have the names of the command line's options, with underscores: `max_cost=20`. Settings that are not
    given come from IMAGEN_BATCH_* and imagen-batch.toml. `on_results` gets finished samples, from any thread.

    Missing images raise no exception: see `summary.counts`, `summary.exit_code` and the manifest. Raises
    InputInvalid, SettingsInvalid or FolderBusy before anything is sent. The same call again continues the run.

    After Ctrl-C requests in flight get `grace` seconds, tables and summary are written, and KeyboardInterrupt is
    raised. A second Ctrl-C abandons those requests.

    A table makes the same images as the CSV of its content: its index is ignored, missing values are empty cells, and
    whole numbers stay whole numbers. Without `out` or `name` its folder is `outputs/table`.

    >>> summary = run("book.csv", provider="simulator", out="outputs/book")
    >>> summary.counts["ok"]
    2
    >>> import pandas as pd
    >>> table = pd.DataFrame({"prompt": ["a mole", "a rat"], "seed": [7, None]})
    >>> run(table, provider="simulator", out="outputs/two").counts["ok"]
    2
    """
    with _naming_arguments(prompts):
        chosen, table = _load(prompts, settings), _as_csv(prompts)
        return _check_and_run(chosen, table, on_results)


def _check_and_run(chosen: Settings, table: BytesIO | None, on_results: OnResults | None) -> Summary:
    if chosen.runner != "threads":
        raise SettingsInvalid(
            f"run() makes images in threads of this process; for runner = {chosen.runner} use the command "
            "imagen-batch run, or imagen_batch.orchestration.generate_images"
        )
    with watch_run(chosen, _warn) as watch:
        watch.summary = _run(chosen.without_watching(), on_results, table, watch.follow)
    return watch.summary


def plan(prompts: Prompts, **settings: Any) -> dict[str, Any]:
    """Return what `run` would do and cost: the object that `imagen-batch plan --json` prints.

    Needs no key, sends nothing and writes nothing.

    >>> facts = plan("book.csv", provider="simulator", samples=3)
    >>> facts["samples"], facts["columns"]["own"]
    (6, ['chapter'])
    """
    with _naming_arguments(prompts), open_preview(_load(prompts, settings), stdin=_as_csv(prompts)) as preview:
        return plan_facts(preview.plan, preview.pending, preview.changes, preview.paces, preview.periods)


def read_manifest(place: str | PathLike[str]) -> pd.DataFrame:
    """Read the manifest of a run's folder or URL: one row for each sample.

    Columns of whole numbers stay whole numbers where values are missing, and your own columns have their types.

    >>> manifest = read_manifest("outputs/book")
    >>> manifest[["prompt", "status", "chapter"]]
       prompt status  chapter
    0  a mole     ok        1
    1   a rat     ok     <NA>
    """
    import pandas as pd  # noqa: PLC0415 - takes a second

    from imagen_batch.exports.rows.manifest import manifest_errors, open_manifest  # noqa: PLC0415

    with _naming_arguments(), manifest_errors(os.fspath(place)):
        manifest = open_manifest(os.fspath(place))
        return pd.read_parquet(BytesIO(manifest.path.read_bytes()), dtype_backend="numpy_nullable")


def open_images(
    place: str | PathLike[str], *, where: str | None = None, approved: bool = False
) -> Iterator[RowAndImage]:
    """Yield each image of a run's folder or URL: its row of the manifest as a dict, and the opened PIL image.

    Only one image is in memory at a time; from a bucket the next 16 are read ahead. Samples without an image, and
    those that a review rejected or marked to be redone, are left out. `where` and `approved` are those of
    `imagen-batch export`. Bytes that are not the ones that arrived raise SettingsInvalid.

    >>> for row, image in open_images("outputs/book", where="chapter == 1"):
    ...     print(row["prompt"], image.width == row["width"])
    a mole True
    """
    from imagen_batch.exports.iterate_rows_and_images import read_images  # noqa: PLC0415 - runs and plans need no images

    with _naming_arguments():
        return read_images(os.fspath(place), where=where, approved=approved)


def _run(chosen: Settings, on_results: OnResults | None, table: BytesIO | None, follow: Follow) -> Summary:
    decisions, review = review_of_run(chosen, _log.info)
    checked = prepare_plan(chosen, today=datetime.now(UTC).date(), decisions=decisions, stdin=table)
    for warning in checked.warnings:
        _warn(warning)
    command = shlex.join(["imagen-batch", "resume", make_absolute(checked.settings.folder)])
    with open_run(checked, env=os.environ, command=command, notify=_warn) as opened:
        if review is not None:
            remember_applied(opened.context.store.storage, review)
        if on_results is not None:
            opened.counter.on_results = on_results
        execution = Execution(opened, count_pending(checked, opened.history))
        follow(opened, execution.pending.samples)
        return _complete(execution)


def _load(prompts: Prompts, settings: dict[str, Any]) -> Settings:
    typed = {name: os.fspath(value) if isinstance(value, PathLike) else value for name, value in settings.items()}
    if isinstance(prompts, str | PathLike):
        return load_settings({**typed, "prompts": os.fspath(prompts)}, env=os.environ)
    if not _is_table(prompts):
        raise SettingsInvalid(f"prompts: expected a path or a pandas DataFrame, not a {type(prompts).__name__}")
    if of_files := sorted(_OF_TABLES.keys() & typed.keys()):
        raise SettingsInvalid(f"{of_files[0]}: is for files; a table has its columns and text already")
    typed |= _OF_TABLES
    chosen = load_settings(typed, env=os.environ)
    return chosen if chosen.name else load_settings({**typed, "name": "table"}, env=os.environ)


def _as_csv(prompts: Prompts) -> BytesIO | None:
    """Return a table as the prompt file that it would be; None for a path."""
    if isinstance(prompts, str | PathLike):
        return None
    return BytesIO(table_to_csv(prompts))


def _is_table(prompts: object) -> bool:
    return hasattr(prompts, "columns") and hasattr(prompts, "iloc")  # without importing pandas


_OF_TABLES = {"prompts": "-", "format": "csv", "encoding": "utf-8", "delimiter": ","}


@contextmanager
def _naming_arguments(prompts: object = None) -> Iterator[None]:
    """Let errors name the arguments of Python, and InputInvalid list every problem of the input in its message."""
    try:
        yield
    except InputInvalid as error:
        error.args = (name_arguments(problems_text(error.problems)),)
        raise
    except (SettingsInvalid, FolderBusy) as error:
        if len(error.args) == 1:  # the message
            message = name_arguments(str(error))
            error.args = (message.replace("standard input", "the table") if _is_table(prompts) else message,)
        raise


def _warn(message: str) -> None:
    _log.warning(name_arguments(message))


def _complete(execution: Execution) -> Summary:
    """Execute in another thread, where no signal handlers are set; the caller's keep working in this one."""
    with ThreadPoolExecutor(1, thread_name_prefix="imagen-batch") as thread:
        result = thread.submit(execution.complete, notify=_warn)
        try:
            while not result.done():  # not one long wait: Python handles a signal only when this thread wakes up
                wait([result], timeout=_POLL_S)
        except BaseException:
            if not result.done():  # Ctrl-C, or an exception of the caller's own signal handler
                _interrupt(execution.run, result)
            raise
        return result.result()


def _interrupt(run: Run, result: Future[Summary]) -> None:
    """Send nothing more and let requests in flight finish within the grace time."""
    run.stop.interrupt(signal.SIGINT)
    try:
        wait([result], timeout=run.plan.settings.grace)
    finally:
        if not result.done():
            run.abort()
