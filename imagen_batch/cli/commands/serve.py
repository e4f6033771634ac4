"""`imagen-batch serve`: starts the runs of deployments when they are due."""

from __future__ import annotations

import signal
from argparse import Namespace
from typing import TYPE_CHECKING

from imagen_batch.system.streams import print_message

if TYPE_CHECKING:
    from imagen_batch.cli.strict_parser import Subparsers


def add_parser(commands: Subparsers) -> None:
    """Add the command and its options to the command line."""
    serve = commands.add_parser(
        "serve",
        usage="%(prog)s [NAME ...]",
        help="start the runs of deployments when they are due, until it is stopped",
        description="Start the runs of deployments when they are due, until this command is stopped. The API key "
        "comes from its environment.",
    )
    serve.add_argument("names", nargs="*", metavar="NAME", help="deployments (default: all without a work pool)")


def run(args: Namespace) -> int:
    """Serve deployments."""
    from imagen_batch.orchestration.deployments import create_and_serve  # noqa: PLC0415

    create_and_serve.prepare()
    print_message("serving " + (", ".join(args.names) or "all deployments") + "; stop it with Ctrl-C")
    stopped_by = create_and_serve.serve(args.names)
    return 0 if stopped_by in (0, signal.SIGTERM) else 128 + stopped_by
