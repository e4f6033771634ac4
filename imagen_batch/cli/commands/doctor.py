"""`imagen-batch doctor`: checks everything that a run needs, without a cost."""

from __future__ import annotations

import argparse
import os
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from imagen_batch.cli.options import (
    add_config_option,
    add_input_options,
    add_json_option,
    add_request_options,
    add_sending_options,
)
from imagen_batch.cli.settings_sources import settings_from
from imagen_batch.system.streams import print_result

if TYPE_CHECKING:
    from imagen_batch.cli.strict_parser import Subparsers


def add_parser(commands: Subparsers) -> None:
    """Add the command and its options to the command line."""
    doctor = commands.add_parser(
        "doctor",
        usage="%(prog)s [options] [PROMPTS]",
        help="check key, model, folder, space, clock, Prefect and proxy before a run; costs nothing",
        description="Check everything that a run needs: key, models, folder or bucket, space, clock, Prefect, proxy "
        "and the current folder. Sends no generation and costs nothing. The options are those of run.",
        epilog="exit codes: 0 no problem (warnings are possible); 2 at least one problem",
    )
    add_request_options(doctor, optional=True)
    add_input_options(doctor)
    add_sending_options(doctor)
    doctor.add_argument(
        "--api-key-block",
        metavar="NAME",
        default=argparse.SUPPRESS,
        help="take the key from this Prefect Secret block, as a deployment does",
    )
    add_json_option(doctor)
    add_config_option(doctor)


def run(args: Namespace) -> int:
    """Check everything that a run needs."""
    has_prompts = args.prompts is not None
    args.prompts = args.prompts if has_prompts else "-"
    settings = settings_from(args)
    from imagen_batch.checks.doctor import examine, exit_code, findings_json, findings_text  # noqa: PLC0415

    findings = examine(settings, has_prompts=has_prompts, here=Path.cwd(), env=os.environ)
    print_result(findings_json(findings) if args.as_json else findings_text(findings))
    return exit_code(findings)
