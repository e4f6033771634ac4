"""`imagen-batch resume`: continues a run with its stored input and settings."""

from __future__ import annotations

import os
import shlex
from argparse import Namespace
from typing import TYPE_CHECKING

from imagen_batch.cli.commands.run import run_and_print
from imagen_batch.cli.options import (
    add_display_options,
    add_other_input,
    add_sending_options,
    setting_adder,
)
from imagen_batch.cli.settings_sources import NOT_SETTINGS, with_upgrade
from imagen_batch.errors import SettingsInvalid
from imagen_batch.system.streams import print_message

if TYPE_CHECKING:
    from imagen_batch.cli.strict_parser import Subparsers


def add_parser(commands: Subparsers) -> None:
    """Add the command and its options to the command line."""
    resume = commands.add_parser(
        "resume",
        usage="%(prog)s [options] DIR",
        help="continue a run with its stored input and settings",
        description="Continue the run in DIR with the input and the settings that are stored there: the same "
        "service, model, samples and limits. The environment and imagen-batch.toml do not change them. Options "
        "given here do, and are stored, except --retry.",
    )
    resume.add_argument("folder", metavar="DIR", help="folder or URL of the run")
    add = setting_adder(resume.add_argument_group("Input"))
    add("--prompts", metavar="FILE", help="use this edited prompt file instead of the stored input")
    add_other_input(add)
    add("--limit", type=int, metavar="N", help="only the first N rows")
    add("--image-size", metavar="S", help="with --upgrade approved: 2K or 4K")
    add_sending_options(resume, with_output=False)
    add_display_options(resume)


def run(args: Namespace) -> int:
    """Continue a run."""
    from imagen_batch.inputs.stored_input_and_settings import find_edited_source, load_settings_to_continue  # noqa: PLC0415
    from imagen_batch.reports.next_steps import make_absolute  # noqa: PLC0415
    from imagen_batch.settings import load_watching  # noqa: PLC0415

    changes = {name: value for name, value in vars(args).items() if name not in {*NOT_SETTINGS, "folder"}}
    if "image_size" in changes and "upgrade" not in changes:
        raise SettingsInvalid("--image-size is for --upgrade approved: a run continues with the size that is stored")
    watching = load_watching(env=os.environ)
    settings = load_settings_to_continue(args.folder, {**watching, **with_upgrade(changes)})
    edited = None if "prompts" in changes else find_edited_source(args.folder)
    if edited is not None and not args.quiet:
        command = shlex.join(["imagen-batch", "resume", make_absolute(settings.folder), "--prompts", edited])
        print_message(
            f"note: {edited} has changed since; this run continues with the stored input. To use the file: {command}"
        )
    return run_and_print(settings, args)
