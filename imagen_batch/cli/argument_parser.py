"""Parses the command line. Imports nothing heavy, so that --help answers at once."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from imagen_batch.cli.commands import (
    audit,
    backfill,
    deploy,
    deployments,
    diff,
    doctor,
    export,
    gallery,
    models,
    plan,
    resume,
    review,
    run,
    runs,
    serve,
    simulate,
    status,
)
from imagen_batch.cli.options import RETRIES
from imagen_batch.cli.strict_parser import Parser
from imagen_batch.version import __version__

if TYPE_CHECKING:
    from imagen_batch.cli.strict_parser import Subparsers


class Command(Protocol):
    """A module of `cli/commands`."""

    def add_parser(self, commands: Subparsers, /) -> None:
        """Add the command and its options to the command line."""

    def run(self, args: argparse.Namespace, /) -> int:
        """Run the command and return its exit code."""


COMMANDS: Mapping[str, Command] = {
    "run": run,
    "plan": plan,
    "resume": resume,
    "status": status,
    "runs": runs,
    "diff": diff,
    "audit": audit,
    "gallery": gallery,
    "review": review,
    "export": export,
    "deploy": deploy,
    "deployments": deployments,
    "serve": serve,
    "doctor": doctor,
    "backfill": backfill,
    "simulate": simulate,
    "models": models,
}
"""The commands in the order in which --help lists them."""


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse a command line. Settings that were not typed are absent from the result."""
    parsed: argparse.Namespace = make_parser().parse_args(_repeat_retry(argv))
    return parsed


def make_parser() -> Parser:
    """Build the parser of the whole command line."""
    parser = Parser(
        prog="imagen-batch",
        description="A CSV of prompts goes in; images, a manifest and a summary of what failed come out.",
    )
    parser.add_argument("--version", action="version", version=f"imagen-batch {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS.values():
        command.add_parser(commands)
    parser.commands = commands.choices
    return parser


def _repeat_retry(argv: Sequence[str]) -> list[str]:
    """Rewrite `--retry failed filtered FILE` as `--retry failed --retry filtered FILE`.

    With `nargs="+"` argparse would take FILE for a third choice.
    """
    words: list[str] = []
    for word in argv:
        if word in RETRIES and len(words) > 1 and words[-2] == "--retry":
            words.append("--retry")
        words.append(word)
    return words
