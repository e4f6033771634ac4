"""Defines the command line. Imports nothing heavy, so that --help answers at once."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

from imagen_batch.cli.options import (
    RETRIES,
    add_config_option,
    add_display_options,
    add_input_options,
    add_other_input,
    add_request_options,
    add_sending_options,
    setting_adder,
)
from imagen_batch.errors import SettingsInvalid
from imagen_batch.text import did_you_mean
from imagen_batch.version import __version__

_PATH_ARGUMENTS = ("prompts", "out", "config", "api_key_file", "folder")
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


class UsageInvalid(SettingsInvalid):
    """The command line has an error. `help_command` is the command whose help describes it."""

    def __init__(self, message: str, help_command: str) -> None:
        super().__init__(message)
        self.help_command = help_command


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse a command line. Settings that were not typed are absent from the result."""
    return make_parser().parse_args(_repeat_retry(argv))


def make_parser() -> argparse.ArgumentParser:
    """Build the parser of the whole command line."""
    parser = _Parser(
        prog="imagen-batch",
        description="A CSV of prompts goes in; images, a manifest and a summary of what failed come out.",
    )
    parser.add_argument("--version", action="version", version=f"imagen-batch {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_run(commands)
    _add_plan(commands)
    _add_resume(commands)
    _add_status(commands)
    _add_audit(commands)
    _add_gallery(commands)
    _add_export(commands)
    _add_simulate(commands)
    _add_models(commands)
    parser.commands = commands.choices
    return parser


class _Parser(argparse.ArgumentParser):
    """Accepts options only in full: `--api-key` is not short for `--api-key-file`. Its subcommands do the same."""

    commands: dict[str, _Parser] | None = None

    def __init__(self, **named: Any) -> None:
        super().__init__(**named, allow_abbrev=False)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse `args`; an unknown option is reported by the subcommand that does not have it."""
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            command = (self.commands or {}).get(parsed.command, self)
            command.error(f"unrecognized arguments: {' '.join(unknown)}{command.suggest_option(unknown)}")
        return parsed

    def suggest_option(self, unknown: Sequence[str]) -> str:
        """Return "; did you mean --OPTION?" for the first unknown option."""
        typed = next((word.partition("=")[0] for word in unknown if word.startswith("--")), "")
        listed = [action for action in self._actions if action.help != argparse.SUPPRESS]
        names = [name for action in listed for name in action.option_strings if name.startswith("--")]
        return did_you_mean(typed, names) if typed else ""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            choices = ", ".join(map(str, action.choices))
            hint = did_you_mean(str(value), map(str, action.choices)) or f"; choose from {choices}"
            raise argparse.ArgumentError(action, f"invalid choice: {value!r}{hint}")

    def error(self, message: str) -> NoReturn:
        """Raise instead of exiting, so that --json can print the error as an object."""
        raise UsageInvalid(message, f"{self.prog} --help")


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


def with_absolute_paths(argv: Sequence[str], parsed: argparse.Namespace) -> list[str]:
    """Return the arguments with paths that hold in any current folder."""
    paths = {str(value) for name in _PATH_ARGUMENTS if (value := getattr(parsed, name, None))}
    return [_with_absolute_path(word, paths) for word in argv]


def _with_absolute_path(word: str, paths: set[str]) -> str:
    option, equals, value = word.partition("=")
    if word.startswith("--") and equals and value in paths:
        return f"{option}={_with_absolute_path(value, paths)}"
    local = word in paths and word != "-" and "://" not in word
    with suppress(OSError):  # the current folder is gone
        return os.path.abspath(word) if local else word  # noqa: PTH100 - links are kept as the user made them
    return word


def _add_run(commands: argparse._SubParsersAction[_Parser]) -> None:
    run = commands.add_parser(
        "run",
        usage="%(prog)s [options] PROMPTS",
        help="make the images that a prompt file asks for",
        description="Make the images that a prompt file asks for. Run it again to continue.",
        epilog=_RUN_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_request_options(run)
    add_input_options(run)
    add_sending_options(run)
    add_display_options(run)
    add_config_option(run)


def _add_plan(commands: argparse._SubParsersAction[_Parser]) -> None:
    plan = commands.add_parser(
        "plan",
        usage="%(prog)s [options] PROMPTS",
        help="show what a run would do and cost; needs no key, sends nothing, writes nothing",
        description="Show what a run would do and cost. Needs no key, sends nothing, writes nothing.",
    )
    add_request_options(plan)
    add_input_options(plan)
    add_sending_options(plan)
    add_display_options(plan)
    add_config_option(plan)


def _add_resume(commands: argparse._SubParsersAction[_Parser]) -> None:
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
    add_sending_options(resume, with_output=False)
    add_display_options(resume)


def _add_status(commands: argparse._SubParsersAction[_Parser]) -> None:
    status = commands.add_parser("status", help="show the state of a run from its ledger, also while it is running")
    status.add_argument("folder", metavar="DIR", help="folder or URL of the run")
    status.add_argument("--json", action="store_true", dest="as_json", help="print one JSON object")


def _add_audit(commands: argparse._SubParsersAction[_Parser]) -> None:
    audit = commands.add_parser("audit", help="check that files, ledger and tables of a run agree; exit 3 if not")
    audit.add_argument("folder", metavar="DIR", help="folder or URL of the run")
    audit.add_argument(
        "--repair",
        action="store_true",
        help="repair what costs nothing, write the tables again, and ask before paying for lost images again",
    )
    audit.add_argument("--max-cost", type=float, metavar="USD", help="the most that a repair may spend")
    add_display_options(audit)


def _add_simulate(commands: argparse._SubParsersAction[_Parser]) -> None:
    simulate = commands.add_parser(
        "simulate",
        help="run the simulator as a server",
        description="An image service on this machine that speaks both dialects and can misbehave.",
        add_help=False,
    )
    simulate.add_argument("arguments", nargs=argparse.REMAINDER)


def _add_models(commands: argparse._SubParsersAction[_Parser]) -> None:
    models = commands.add_parser("models", help="list the models: dialect, sizes, ratios, prices, lifecycle")
    models.add_argument("--json", action="store_true", dest="as_json", help="print one JSON array")
    add_config_option(models)


def _add_gallery(commands: argparse._SubParsersAction[_Parser]) -> None:
    gallery = commands.add_parser(
        "gallery",
        help="write a page to look at a run's images and decide about them",
        description="Write gallery.html into the folder of a run: look, approve, reject, mark for a redo, and export "
        "the decisions as review.csv. The page works from disk, without a server.",
    )
    gallery.add_argument("folder", metavar="DIR", help="folder of the run")
    gallery.add_argument("--serve", action="store_true", help="serve it on this machine and save decisions at once")
    gallery.add_argument("--json", action="store_true", dest="as_json", help="print the result as one JSON object")


def _add_export(commands: argparse._SubParsersAction[_Parser]) -> None:
    from imagen_batch.exports.command import add_arguments  # noqa: PLC0415 - only needed to parse

    add_arguments(
        commands.add_parser(
            "export",
            usage="%(prog)s [options] DIR --to FORMAT",
            help="write a dataset, contact sheets or a delivery folder from a run",
            description="Write a dataset, contact sheets or a delivery folder from a run.",
        )
    )
