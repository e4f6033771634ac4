"""Runs the job with settings from the command line, shows its progress and prints its summary."""

from __future__ import annotations

import shlex
from argparse import Namespace
from functools import partial
from typing import TYPE_CHECKING

from imagen_batch.cli.arguments import with_absolute_paths
from imagen_batch.cli.terminal import make_confirm, use_color
from imagen_batch.system.streams import print_message, print_result

if TYPE_CHECKING:
    from imagen_batch.planning.row_index import PendingRow
    from imagen_batch.settings import Settings


def run_and_print(settings: Settings, args: Namespace, *, lost: tuple[PendingRow, ...] | None = None) -> int:
    """Run the job, print its summary and return its exit code. With `lost` only these samples are made."""
    settings = _with_agreed_host(settings, args)
    from imagen_batch.cli.progress import make_progress  # noqa: PLC0415
    from imagen_batch.orchestration.launch import launch  # noqa: PLC0415
    from imagen_batch.reports.render import to_json_text, to_terminal  # noqa: PLC0415
    from imagen_batch.runs.console import Console  # noqa: PLC0415

    mode = "none" if args.quiet else args.progress
    console = Console(
        notify=(lambda _text: None) if args.quiet else print_message,
        progress=partial(make_progress, mode=mode, verbose=args.verbose > 0),
        confirm=make_confirm(args),
        command=shlex.join(["imagen-batch", *with_absolute_paths(args.argv, args)]),
    )
    summary = launch(settings, console, lost=lost)
    print_result(to_json_text(summary) if args.as_json else to_terminal(summary, color=use_color()))
    return summary.exit_code


def _with_agreed_host(settings: Settings, args: Namespace) -> Settings:
    """Ask whether the key may go to a host that a settings file of the current folder names."""
    from imagen_batch.providers.endpoints import require_approved_host, unapproved_host  # noqa: PLC0415

    if (host := unapproved_host(settings)) is None:
        return settings
    confirm = make_confirm(args)
    question = f"{settings.base_url_found_in} sends the API key to {host}, which is not Google's. Go on?"
    if args.yes or (confirm is not None and confirm(question)):
        return settings.with_approved_host()
    require_approved_host(settings)
    return settings
