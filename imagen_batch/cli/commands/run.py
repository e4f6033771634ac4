"""`imagen-batch run`: makes the images of a prompt file, shows progress and prints the summary."""

from __future__ import annotations

import argparse
import shlex
from argparse import Namespace
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from imagen_batch.cli.absolute_paths import with_absolute_paths, without_addresses
from imagen_batch.cli.confirm_and_color import make_confirm, use_color
from imagen_batch.cli.options import add_run_options
from imagen_batch.cli.settings_sources import settings_from
from imagen_batch.monitoring.json_log import current_log
from imagen_batch.system.streams import print_message, print_result

if TYPE_CHECKING:
    from imagen_batch.cli.strict_parser import Subparsers
    from imagen_batch.planning.compact_row_index import PendingRow
    from imagen_batch.reports.summary import Summary
    from imagen_batch.runs.run_observer import RunObserver
    from imagen_batch.settings import Settings

_RUN_EXAMPLES = """\
examples:
  imagen-batch plan prompts/book.csv                            what it would do and cost; sends nothing
  imagen-batch run prompts/demo.csv --provider simulator        rehearse without a key and without cost
  imagen-batch run prompts/book.csv --max-cost 20               for real, never beyond 20 USD
  imagen-batch run prompts/book.csv --retry failed              run again and retry the failed ones
  imagen-batch run outputs/book/failures.csv                    only the rows of that file, as you edited them
  imagen-batch resume outputs/book                              continue with the stored settings

exit codes: 0 every sample ok; 2 usage, settings, credentials; 3 some without an image; 4 no image at all;
5 invalid input, nothing sent; 6 stopped by the budget; 75 stopped, run again later; 130/143 interrupted
"""


def add_parser(commands: Subparsers) -> None:
    """Add the command and its options to the command line."""
    run = commands.add_parser(
        "run",
        usage="%(prog)s [options] PROMPTS",
        help="make the images that a prompt file asks for",
        description="Make the images that a prompt file asks for. Run it again to continue.",
        epilog=_RUN_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_run_options(run)


def run(args: Namespace) -> int:
    """Make the images of a prompt file."""
    return run_and_print(settings_from(args), args)


def run_and_print(
    settings: Settings, args: Namespace, *, samples_to_remake: tuple[PendingRow, ...] | None = None
) -> int:
    """Run the job, print its summary and return its exit code. With `samples_to_remake`, only these are made."""
    log = current_log()
    activate_json_log(settings)
    settings = _with_agreed_host(settings, args)
    summary = None if samples_to_remake is not None else _find_current_summary(settings)
    if summary is None:
        summary = _launch(settings, args, samples_to_remake=samples_to_remake)
        _record_finished_run(settings, summary)
    else:
        _report_current(summary, settings, args)
    from imagen_batch.reports.render import to_json_text, to_terminal  # noqa: PLC0415 - not before the first request

    if log.active and not args.quiet:
        log.end(summary)
    print_result(to_json_text(summary) if args.as_json else to_terminal(summary, color=use_color()))
    return summary.exit_code


def activate_json_log(settings: Settings) -> None:
    """Write messages as JSON objects from now on if the settings say so, also those of a file."""
    if settings.log_format == "json":
        log = current_log()
        log.with_prompts = settings.log_prompts
        log.activate()


def _find_current_summary(settings: Settings) -> Summary | None:
    """Return the summary of a finished run that would only be repeated; other runs do not import that code."""
    from imagen_batch.runs.finished.may_hold_finished_run import may_hold_finished_run  # noqa: PLC0415

    if not may_hold_finished_run(settings.folder):
        return None
    from imagen_batch.runs.finished.recognize_unchanged_run import find_current_summary  # noqa: PLC0415

    return find_current_summary(settings)


def _record_finished_run(settings: Settings, summary: Summary) -> None:
    from imagen_batch.runs.finished.recognize_unchanged_run import record_finished_run  # noqa: PLC0415 - not before the first request

    record_finished_run(settings, summary)


def _report_current(summary: Summary, settings: Settings, args: Namespace) -> None:
    """Say that nothing is done, also to those who watch the run."""
    from imagen_batch.monitoring.start_and_end import watch_run  # noqa: PLC0415
    from imagen_batch.runs.finished.recognize_unchanged_run import describe_current  # noqa: PLC0415

    with watch_run(settings, print_message) as watch:
        watch.summary = summary
    if not args.quiet:
        print_message(describe_current(summary))


def _launch(settings: Settings, args: Namespace, *, samples_to_remake: tuple[PendingRow, ...] | None) -> Summary:
    with _simulator(settings) as simulator:
        from imagen_batch.orchestration.launch_run import launch  # noqa: PLC0415 - while the simulator starts

        observer = _make_observer(args)
        return launch(settings, observer, samples_to_remake=samples_to_remake, simulator=simulator)


def _simulator(settings: Settings) -> AbstractContextManager[Callable[[], str] | None]:
    """Start the simulator of a rehearsal, which takes as long as the imports of this process."""
    if not settings.has_own_simulator:
        return nullcontext()
    from imagen_batch.runs.local_simulator import start_simulator  # noqa: PLC0415 - only for a rehearsal

    return start_simulator()


def _make_observer(args: Namespace) -> RunObserver:
    from imagen_batch.cli.progress import make_progress  # noqa: PLC0415
    from imagen_batch.runs.run_observer import RunObserver  # noqa: PLC0415

    mode, log = "none" if args.quiet else args.progress, current_log()
    return RunObserver(
        notify=(lambda _text: None) if args.quiet else print_message,
        progress=partial(make_progress, mode=mode, verbose=args.verbose > 0, log=log if log.active else None),
        confirm=make_confirm(args),
        command=shlex.join(["imagen-batch", *without_addresses(with_absolute_paths(args.argv, args))]),
        run_id=log.run_id,
        on_flow_run=log.note_flow_run,
    )


def _with_agreed_host(settings: Settings, args: Namespace) -> Settings:
    """Ask whether the key may go to a host that a settings file of the current folder names."""
    from imagen_batch.providers.endpoint_and_credential import require_approved_host, unapproved_host  # noqa: PLC0415

    if (host := unapproved_host(settings)) is None:
        return settings
    confirm = make_confirm(args)
    question = f"{settings.base_url_found_in} sends the API key to {host}, which is not Google's. Continue?"
    if args.yes or (confirm is not None and confirm(question)):
        return settings.with_approved_host()
    require_approved_host(settings)
    return settings
