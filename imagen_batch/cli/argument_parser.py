"""Parses the command line. Imports only the command that was typed, and nothing heavy: --help answers at once."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol, cast

from imagen_batch.choices import RETRIES
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


COMMANDS: Final = (
    "run",
    "plan",
    "resume",
    "status",
    "runs",
    "diff",
    "audit",
    "gallery",
    "review",
    "export",
    "deploy",
    "deployments",
    "serve",
    "doctor",
    "backfill",
    "simulate",
    "models",
)
"""The commands in the order in which --help lists them. Each is a module of `cli/commands`."""


def load_command(name: str) -> Command:
    """Import the module of a command."""
    return cast("Command", import_module(f"imagen_batch.cli.commands.{name}"))


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse a command line. Settings that were not typed are absent from the result."""
    typed = argv[:1] if argv and argv[0] in COMMANDS else COMMANDS
    parsed: argparse.Namespace = make_parser(typed).parse_args(_repeat_retry(argv))
    return parsed


def make_parser(names: Iterable[str] = COMMANDS) -> Parser:
    """Build the parser of the command line, with these commands."""
    parser = Parser(
        prog="imagen-batch",
        description="A CSV of prompts goes in; images, a manifest and a summary of what failed come out.",
    )
    parser.add_argument("--version", action="version", version=f"imagen-batch {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in names:
        load_command(name).add_parser(commands)
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
