"""What can be typed? The parser of the command line; imports nothing heavy, so --help answers at once."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from imagen_batch import __version__
from imagen_batch.errors import SettingsInvalid

RETRIES = ("failed", "filtered", "unknown", "missing")

_RUN_EXAMPLES = """\
examples:
  imagen-batch plan prompts/book.csv                            what it would do and cost; sends nothing
  imagen-batch run prompts/demo.csv --provider simulator        rehearse without a key and without cost
  imagen-batch run prompts/book.csv --max-cost 20               for real, never beyond 20 USD
  imagen-batch run prompts/book.csv --retry failed              again, with the failed ones
  imagen-batch run outputs/book/failures.csv                    only the rows of that file, as you edited them
  imagen-batch resume outputs/book                              continue with the stored settings

exit codes: 0 every sample ok; 2 usage, settings, credentials; 3 some without a picture; 4 no picture at all;
5 invalid input, nothing sent; 6 stopped by the budget; 75 stopped, run again later; 130/143 interrupted
"""


def make_parser() -> argparse.ArgumentParser:
    """The whole command line. Settings that were not typed are absent from the parsed namespace."""
    parser = _Parser(
        prog="imagen-batch",
        description="A CSV of prompts goes in; pictures, a manifest and a summary of what failed come out.",
    )
    parser.add_argument("--version", action="version", version=f"imagen-batch {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _run(commands)
    _plan(commands)
    _resume(commands)
    _status(commands)
    _audit(commands)
    _simulate(commands)
    _models(commands)
    return parser


class UsageInvalid(SettingsInvalid):
    """The command line can't be understood. `said` is what argparse says: the usage, then what is wrong."""

    def __init__(self, message: str, said: str) -> None:
        super().__init__(message)
        self.said = said


class _Parser(argparse.ArgumentParser):
    """Takes options only in full (its commands do, too): `--api-key` is not short for `--api-key-file`."""

    def __init__(self, **named: Any) -> None:
        super().__init__(**named, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Raise instead of leaving the process: programs that asked for JSON get some."""
        raise UsageInvalid(message, f"{self.format_usage()}{self.prog}: error: {message}")


class _NoKeyHere(argparse.Action):
    """A key among arguments stands in the process list: refused, and not repeated."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        parser.error("a key is no argument: set GOOGLE_API_KEY, or give --api-key-file FILE")


def spread_retry(argv: Sequence[str]) -> list[str]:
    """`--retry failed filtered FILE` as `--retry failed --retry filtered FILE`: argparse would take the file too."""
    spread: list[str] = []
    for word in argv:
        if word in RETRIES and len(spread) > 1 and spread[-2] == "--retry":
            spread.append("--retry")
        spread.append(word)
    return spread


def _run(commands: argparse._SubParsersAction[_Parser]) -> None:
    run = commands.add_parser(
        "run",
        help="make the pictures that a prompt file asks for",
        description="Make the pictures that a prompt file asks for. Run it again to continue.",
        epilog=_RUN_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _asking(run)
    _sending(run)
    _output(run)


def _resume(commands: argparse._SubParsersAction[_Parser]) -> None:
    resume = commands.add_parser(
        "resume",
        help="continue a run with its stored input and settings",
        description="Continue the run in DIR with the input and the settings that are stored there: the same "
        "service, model, samples and limits. Neither the environment nor imagen-batch.toml changes them; options "
        "given here do, and are stored, but for --retry.",
    )
    resume.add_argument("folder", metavar="DIR", help="folder or URL of the run")
    files = resume.add_argument_group("input")
    add = _quiet_adder(files)
    add("--prompts", metavar="FILE", help="an edited prompt file, in place of the stored input")
    _which_input(files)
    add("--limit", type=int, metavar="N", help="only the first N rows")
    _sending(resume, out=False)
    _voice(resume.add_argument_group("what is said"))


def _which_input(group: argparse._ArgumentGroup) -> None:
    for choice, text in (
        ("add", "append the rows of another prompt file to those of the folder's run"),
        ("replace", "another prompt file replaces the input of the folder's run"),
    ):
        group.add_argument(
            f"--{choice}",
            action="store_const",
            const=choice,
            dest="other_input",
            default=argparse.SUPPRESS,
            help=text,
        )


def anchored(argv: Sequence[str], parsed: argparse.Namespace) -> list[str]:
    """The arguments with paths that hold in any current folder."""
    names = ("prompts", "out", "config", "api_key_file", "folder")
    paths = {str(value) for name in names if (value := getattr(parsed, name, None))}
    return [_anchored(word, paths) for word in argv]


def _anchored(word: str, paths: set[str]) -> str:
    option, equals, value = word.partition("=")
    if word.startswith("--") and equals and value in paths:
        return f"{option}={_anchored(value, paths)}"
    local = word in paths and word != "-" and "://" not in word
    with suppress(OSError):  # the current folder is gone
        return os.path.abspath(word) if local else word  # noqa: PTH100 - links are kept as the user made them
    return word


def _plan(commands: argparse._SubParsersAction[_Parser]) -> None:
    plan = commands.add_parser(
        "plan", help="what a run would do and cost; needs no key, sends nothing, writes nothing"
    )
    _asking(plan)
    _sending(plan)
    _output(plan)


def _status(commands: argparse._SubParsersAction[_Parser]) -> None:
    status = commands.add_parser("status", help="where a run stands, from its ledger, also while it goes on")
    status.add_argument("folder", metavar="DIR")
    status.add_argument("--json", action="store_true", dest="as_json", help="print one JSON object")


def _audit(commands: argparse._SubParsersAction[_Parser]) -> None:
    audit = commands.add_parser("audit", help="whether pictures, ledger and tables of a run agree; exit 3 if not")
    audit.add_argument("folder", metavar="DIR")
    audit.add_argument(
        "--repair",
        action="store_true",
        help="repair what costs nothing, write the tables again, and ask before lost images are paid for again",
    )
    audit.add_argument("--max-cost", type=float, metavar="USD", help="what a repair may pay at most")
    _voice(audit)


def _simulate(commands: argparse._SubParsersAction[_Parser]) -> None:
    simulate = commands.add_parser(
        "simulate",
        help="the simulator as a server of its own",
        description="An image service on this machine that speaks both dialects and can misbehave.",
        add_help=False,
    )
    simulate.add_argument("arguments", nargs=argparse.REMAINDER)


def _models(commands: argparse._SubParsersAction[_Parser]) -> None:
    models = commands.add_parser("models", help="the catalogue: dialect, sizes, ratios, price, lifecycle")
    models.add_argument("--json", action="store_true", dest="as_json", help="print one JSON array")
    models.add_argument("--config", type=Path, metavar="FILE", help="settings file (default imagen-batch.toml)")


def _asking(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("prompts", metavar="PROMPTS", help="CSV, TSV, .txt or JSONL file; - for standard input")
    what = parser.add_argument_group("what is asked for (a row's own value beats these)")
    add = _quiet_adder(what)
    add("--model", metavar="ID")
    add("--dialect", choices=("predict", "generate_content"), help="for a model the catalogue does not know")
    add("--samples", type=int, metavar="N", help="pictures for each row (default 1)")
    add("--aspect-ratio", metavar="R", help="such as 16:9")
    add("--image-size", metavar="S", help="512, 1K, 2K or 4K")
    add("--person-generation", metavar="P", help="dont_allow, allow_adult or allow_all")
    add("--negative-prompt", metavar="T")
    add("--seed", type=int, metavar="N")
    add("--parameter", action="append", metavar="NAME=VALUE", help="another option of the service; repeatable")
    files = parser.add_argument_group("reading the file, naming the pictures")
    add = _quiet_adder(files)
    add("--limit", type=int, metavar="N", help="send only the first N rows")
    _which_input(files)
    add("--format", choices=("csv", "tsv", "txt", "jsonl"))
    add("--prompt-column", metavar="C")
    add("--encoding", metavar="E")
    add("--delimiter", metavar="D")
    add("--join-extra", action="store_true", help="join what unquoted commas of the prompt took apart")
    add("--name-template", metavar="T", help='such as "{chapter}/{row:03}-{slug}"')


def _sending(parser: argparse.ArgumentParser, *, out: bool = True) -> None:
    where = parser.add_argument_group("where it goes")
    add = _quiet_adder(where)
    if out:
        add(
            "--out",
            metavar="DIR",
            help="folder or URL, as s3://bucket/run (default outputs/<name of the prompt file>)",
        )
        add("--provider", choices=("gemini", "vertex", "simulator"))
    add("--base-url", metavar="URL", help="another host that speaks like the provider")
    add("--project", help="Google Cloud project, for --provider vertex")
    add("--location", help="Google Cloud location, for --provider vertex (default global)")
    add("--api-key-file", metavar="FILE", help="default: GOOGLE_API_KEY, else GEMINI_API_KEY")
    parser.add_argument("--api-key", action=_NoKeyHere, help=argparse.SUPPRESS)
    pace = parser.add_argument_group("how fast, how often")
    add = _quiet_adder(pace)
    add("--concurrency", type=int, metavar="N", help="attempts in flight at once (default 32)")
    add("--requests-per-minute", type=float, metavar="N", help="default: found from what the service says")
    add("--images-per-minute", type=float, metavar="N", help="where one request makes several pictures")
    add("--max-attempts", type=int, metavar="N", help="attempts for a request (default 5)")
    add("--timeout", type=float, metavar="S", help="seconds for a whole attempt (default 300)")
    add("--outage-limit", type=float, metavar="S", help="stop after S seconds of only failures (default 600)")
    add("--grace", type=float, metavar="S", help="seconds for what is under way after Ctrl-C (default 30)")
    where = parser.add_argument_group("on which machines")
    add = _quiet_adder(where)
    add(
        "--runner",
        choices=("threads", "dask", "ray"),
        help="who makes the pictures (default threads of this process)",
    )
    add("--dask-address", metavar="URL", help="a Dask cluster's scheduler, as tcp://HOST:8786")
    add("--ray-address", metavar="URL", help="a Ray cluster, as ray://HOST:10001")
    add(
        "--workers",
        type=int,
        metavar="N",
        help="worker processes on this machine, without an address (default: its cores)",
    )
    money = parser.add_argument_group("money, and what is sent again")
    add = _quiet_adder(money)
    add("--max-cost", type=float, metavar="USD", help="a wall for the folder: all its runs never exceed it together")
    add("--max-cost-per-run", type=float, metavar="USD", help="the same wall for this run alone")
    add("--max-images", type=int, metavar="N", help="a wall in pictures")
    add("--price", type=float, metavar="USD", help="price of a picture, where the catalogue has none")
    add("--retry", action="append", choices=RETRIES, help="several may follow; missing: files that are gone")
    add("--on-unknown", choices=("resend", "hold"), help="what perhaps was charged, though no reply came")


def _output(parser: argparse.ArgumentParser) -> None:
    out = parser.add_argument_group("what is said")
    out.add_argument("--config", type=Path, metavar="FILE", help="settings file (default imagen-batch.toml)")
    _voice(out)


def _voice(out: argparse._ActionsContainer) -> None:
    out.add_argument(
        "--yes", action="store_true", help="do not ask: neither before an expensive run nor about the host"
    )
    out.add_argument("--json", action="store_true", dest="as_json", help="print the summary as one JSON object")
    out.add_argument("--progress", choices=("auto", "bar", "plain", "none"), default="auto")
    out.add_argument("-q", "--quiet", action="store_true", help="nothing but results and errors")
    out.add_argument("-v", "--verbose", action="count", default=0, help="also say what is being done")


def _quiet_adder(group: argparse._ArgumentGroup):  # type: ignore[no-untyped-def]
    """Adds arguments that are absent when not typed, so that environment and file can speak."""

    def add(*names: str, **how: object) -> None:
        group.add_argument(*names, default=argparse.SUPPRESS, **how)  # type: ignore[arg-type]

    return add
