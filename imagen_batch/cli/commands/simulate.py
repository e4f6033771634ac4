"""`imagen-batch simulate`: runs the simulator as a server."""

from __future__ import annotations

import argparse
from argparse import Namespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imagen_batch.cli.strict_parser import Subparsers


def add_parser(commands: Subparsers) -> None:
    """Add the command and its options to the command line."""
    simulate = commands.add_parser(
        "simulate",
        help="run the simulator as a server",
        description="An image service on this machine that speaks both dialects and can misbehave.",
        add_help=False,
    )
    simulate.add_argument("arguments", nargs=argparse.REMAINDER)


def run(args: Namespace) -> int:
    """Run the simulator, whose own parser reads the remaining words."""
    from imagen_batch.simulator import main as simulate  # noqa: PLC0415

    return simulate(args.arguments)
