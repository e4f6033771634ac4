"""Defines the options of the commands, in the groups that --help shows."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Protocol

from imagen_batch.choices import DIALECTS, FILE_FORMATS, NOTIFY_ON, ON_UNKNOWN, PROVIDERS, RETRIES, RUNNERS


class _RefuseKey(argparse.Action):
    """Refuses a key on the command line, where every user of the machine sees it, and does not repeat it."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        parser.error("a key can't be given as an argument: set GOOGLE_API_KEY, or use --api-key-file FILE")


class AddSetting(Protocol):
    """The function that `setting_adder` returns."""

    def __call__(self, *names: str, **kwargs: Any) -> None:
        """Add an argument that is absent from the namespace if it was not typed."""


def setting_adder(group: argparse._ActionsContainer) -> AddSetting:
    """Return an `add_argument` for settings: an option that was not typed leaves no value in the namespace."""

    def add(*names: str, **kwargs: Any) -> None:
        group.add_argument(*names, default=argparse.SUPPRESS, **kwargs)

    return add


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `run` and `plan` share."""
    add_request_options(parser)
    add_input_options(parser)
    add_sending_options(parser)
    add_display_options(parser)
    add_config_option(parser)


def add_request_options(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """Add the prompt file, which may be `optional`, and the options of each request."""
    parser.add_argument(
        "prompts",
        metavar="PROMPTS",
        nargs="?" if optional else None,
        help="CSV, TSV, .txt, JSONL, .xlsx or .ods file; - for standard input",
    )
    add = setting_adder(parser.add_argument_group("Request options", "A row's own value takes precedence."))
    add("--model", metavar="ID", help="see imagen-batch models")
    add("--dialect", choices=DIALECTS, help="for a model that is not in the catalogue")
    add("--samples", type=int, metavar="N", help="images for each row (default 1)")
    add("--aspect-ratio", metavar="R", help="such as 16:9")
    add("--image-size", metavar="S", help="512, 1K, 2K or 4K")
    add("--shape", metavar="NAME", help="cover, full-page, spread, spot or one of your own: ratio and size follow")
    add("--trim", metavar="WxH", help="size of a printed page, such as 8.5x8.5in or 210x297mm: reports dots per inch")
    add("--bleed", metavar="L", help="what is trimmed off at each edge of the page, such as 0.125in")
    add("--person-generation", metavar="P", help="dont_allow, allow_adult or allow_all")
    add("--negative-prompt", metavar="T", help="what the image must not show")
    add("--seed", type=int, metavar="N", help="start of the service's random numbers")
    add(
        "--reference",
        action="append",
        dest="references",
        metavar="FILE",
        help="image to send with every row, before the row's own references; repeatable",
    )
    add("--parameter", action="append", metavar="NAME=VALUE", help="another option of the service; repeatable")


def add_input_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for reading the prompt file and naming images."""
    add = setting_adder(parser.add_argument_group("Prompt file and file names"))
    add("--limit", type=int, metavar="N", help="send only the first N rows")
    add_other_input(add)
    add(
        "--format",
        choices=FILE_FORMATS,
        help="form of the prompt file (default: from its name and content)",
    )
    add("--sheet", metavar="NAME", help="sheet of a spreadsheet (default: the first)")
    add("--prompt-column", metavar="C", help="column with the prompt")
    add("--encoding", metavar="E", help="text encoding of the prompt file (default: from the content)")
    add("--delimiter", metavar="D", help="character between cells (default: from the header)")
    add("--join-extra", action="store_true", help="join the parts of a prompt with unquoted commas")
    add("--no-gallery", action="store_false", dest="gallery", help="do not write gallery.html at the end")
    add("--template", metavar="FILE", help="Jinja template that makes each prompt from the columns of its row")
    add("--styles", metavar="FILE", help="style presets for the column style: TOML, or A1111's styles.csv")
    add("--characters", metavar="FILE", help="descriptions of the names in the column characters: CSV or TOML")
    add("--matrix", action="append", metavar="NAME=A,B", help="a variant of each row for each value; repeatable")
    add("--name-template", metavar="T", help='file names, such as "{chapter}/{row:03}-{slug}"')


def add_other_input(add: AddSetting) -> None:
    """Add --add and --replace, for a prompt file other than the folder's own."""
    for choice, text in (
        ("add", "append the rows of another prompt file to the input of the folder's run"),
        ("replace", "replace the input of the folder's run with another prompt file"),
    ):
        add(f"--{choice}", action="store_const", const=choice, dest="other_input", help=text)


def add_sending_options(parser: argparse.ArgumentParser, *, with_output: bool = True) -> None:
    """Add the options for sending: provider, rate, execution and budget."""
    _add_provider_options(parser, with_output=with_output)
    _add_rate_options(parser)
    _add_execution_options(parser)
    _add_budget_options(parser)
    add = setting_adder(parser.add_argument_group("Summary"))
    add("--group-by", metavar="COLUMN", help="also count images and cost for each value of a column")
    _add_watching_options(parser)


def _add_provider_options(parser: argparse.ArgumentParser, *, with_output: bool) -> None:
    add = setting_adder(parser.add_argument_group("Provider and output"))
    if with_output:
        add(
            "--out",
            metavar="DIR",
            help="folder or URL such as s3://bucket/run (default outputs/<name of the prompt file>); "
            "{name} and {date} are filled in",
        )
        add("--name", metavar="NAME", help="name of the job: {name} in --out (default: that of the prompt file)")
        add("--date", metavar="YYYY-MM-DD", help="date that the run is for: {date} in --out; the clock is not used")
        add("--provider", choices=PROVIDERS, help="where requests go (default gemini)")
    add("--base-url", metavar="URL", help="another host with the same API as the provider")
    add("--project", help="Google Cloud project, for --provider vertex")
    add("--location", help="Google Cloud location, for --provider vertex (default global)")
    add("--api-key-file", metavar="FILE", help="file with the key (default: GOOGLE_API_KEY, else GEMINI_API_KEY)")
    parser.add_argument("--api-key", action=_RefuseKey, help=argparse.SUPPRESS)


def _add_rate_options(parser: argparse.ArgumentParser) -> None:
    add = setting_adder(parser.add_argument_group("Rate and retries"))
    add("--concurrency", type=int, metavar="N", help="attempts in flight at once (default 32)")
    add(
        "--requests-per-minute",
        type=float,
        metavar="N",
        help="limit of requests (default: learned from the service's replies)",
    )
    add("--images-per-minute", type=float, metavar="N", help="limit of images, if one request makes several")
    add("--max-attempts", type=int, metavar="N", help="attempts for each request (default 5)")
    add("--timeout", type=float, metavar="S", help="seconds for a whole attempt (default 300)")
    add("--outage-limit", type=float, metavar="S", help="stop after S seconds of nothing but failures (default 600)")
    add("--grace", type=float, metavar="S", help="seconds that requests in flight get after Ctrl-C (default 30)")
    add("--until", metavar="HH:MM", help="end by this time of day, with code 75 if something is left")
    add("--max-time", metavar="T", help="end within this time, such as 2h or 90m, with code 75 if something is left")
    add("--timezone", metavar="TZ", help="time zone of --until, such as Europe/Paris (default: this machine's)")


def _add_execution_options(parser: argparse.ArgumentParser) -> None:
    add = setting_adder(parser.add_argument_group("Execution"))
    add(
        "--runner",
        choices=RUNNERS,
        help="where requests are sent from (default: threads of this process)",
    )
    add("--dask-address", metavar="URL", help="scheduler of a Dask cluster, such as tcp://HOST:8786")
    add("--ray-address", metavar="URL", help="a Ray cluster, such as ray://HOST:10001")
    add(
        "--workers",
        type=int,
        metavar="N",
        help="worker processes on this machine if no address is given (default: its cores)",
    )


def _add_budget_options(parser: argparse.ArgumentParser) -> None:
    add = setting_adder(parser.add_argument_group("Budget and resending"))
    add(
        "--max-cost",
        type=float,
        metavar="USD",
        help="stop before total spending for the folder, by all its runs, could exceed this",
    )
    add("--max-cost-per-run", type=float, metavar="USD", help="stop before spending by this run could exceed this")
    add(
        "--max-cost-per",
        action="append",
        metavar="PERIOD=USD",
        help="limit of all runs below --budget-root together in a rolling period, such as 30d=200; repeatable",
    )
    add("--budget-root", metavar="DIR", help="folder whose runs share it (default: --out before {name} or {date})")
    add("--max-images", type=int, metavar="N", help="stop before the folder could have more than N paid images")
    add("--price", type=float, metavar="USD", help="price of an image, if the catalogue has none")
    add(
        "--retry",
        action="append",
        choices=RETRIES,
        help="send these again as well; several may follow (missing: images whose files are gone)",
    )
    add("--accept", type=int, metavar="N", help="request samples of a row until N of them have an image")
    add("--max-tries", type=int, metavar="N", help="with --accept: most samples to request for a row (default 2 N)")
    add("--redo", action="store_true", help="make again what the review marked for a redo")
    add("--upgrade", choices=("approved",), help="make approved images again in the size of --image-size")
    add(
        "--on-unknown",
        choices=ON_UNKNOWN,
        help="requests without a reply, possibly charged: send again or not (default resend)",
    )


def _add_watching_options(parser: argparse.ArgumentParser) -> None:
    add = setting_adder(parser.add_argument_group("Watching", "Not stored with the run. Addresses are never shown."))
    add(
        "--notify",
        action="append",
        metavar="URL",
        help="send one message at the end to this apprise address; repeatable; better IMAGEN_BATCH_NOTIFY or a file",
    )
    add("--notify-file", metavar="FILE", help="a file with such addresses, one a line")
    add("--notify-on", choices=NOTIFY_ON, help="which ends of a run are worth a message (default partial)")
    add("--heartbeat", metavar="URL", help="ping URL/start, then URL or URL/fail")
    add("--metrics", metavar="FILE", help="write the figures of the run as an OpenMetrics file")
    add(
        "--log-format",
        choices=("text", "json"),
        help="messages as text or as JSON objects, one a line (default text)",
    )
    add("--log-prompts", action="store_true", help="with JSON, also names of images and the words of the service")


def add_display_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for output and questions."""
    group = parser.add_argument_group("Display")
    group.add_argument(
        "--yes", action="store_true", help="do not ask, neither before an expensive run nor about the host"
    )
    add_json_option(group)
    group.add_argument(
        "--progress",
        choices=("auto", "bar", "plain", "none"),
        default="auto",
        help="how progress is shown (default auto: a bar on a terminal, else plain lines)",
    )
    group.add_argument("-q", "--quiet", action="store_true", help="print only results and errors")
    group.add_argument("-v", "--verbose", action="count", default=0, help="also print the outcome of each sample")


def add_json_option(
    group: argparse._ActionsContainer, *, help_text: str = "print the result as one JSON object"
) -> None:
    """Add --json."""
    group.add_argument("--json", action="store_true", dest="as_json", help=help_text)


def add_config_option(parser: argparse.ArgumentParser) -> None:
    """Add the settings file."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings file (default imagen-batch.toml)")
