"""Runs the command that was typed and returns its exit code."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from functools import partial

from imagen_batch.cli.argument_parser import load_command, parse
from imagen_batch.cli.exit_code_and_message import end_at_signal_with, exit_code_of
from imagen_batch.errors import SettingsInvalid
from imagen_batch.monitoring.json_log import is_wanted, start_log
from imagen_batch.system.streams import flush_stdout, secure_streams
from imagen_batch.text import is_unicode


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in `argv`, or that of the process, and return its exit code."""
    secure_streams()
    own_process = argv is None
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv[:1] == ["simulate"]:
        from imagen_batch.simulator import main as simulate  # noqa: PLC0415

        return simulate(argv[1:])
    if own_process:
        # No module and no row becomes garbage in a cycle. To search for such garbage after every 700 objects takes a
        # tenth of the time before the first request.
        gc.set_threshold(100_000)
    log = start_log()
    if is_wanted(argv):
        log.activate()
    try:
        code = exit_code_of(partial(_run_command, argv), as_json="--json" in argv, log=log)
    finally:
        flush_stdout()
    if own_process:
        end_at_signal_with(code)
    return code


def _run_command(argv: Sequence[str]) -> int:
    _refuse_bad_bytes(argv)
    args = parse(argv)
    args.argv = argv
    return load_command(args.command).run(args)


def _refuse_bad_bytes(argv: Sequence[str]) -> None:
    for word in argv:
        if not is_unicode(word):
            raise SettingsInvalid(f"{word!r} has bytes that are not UTF-8: rename the file or folder")
        if "\0" in word:  # only a program can pass one
            raise SettingsInvalid(f"{word!r} contains a null character")
