"""Writes `docs/reference/`: the pages whose content the program knows.

`python -m tools.docs.reference` writes them, and `tests/test_generated_docs.py` fails when one is out of date. The
meanings of settings and columns are read from the tables of `docs/reference.md`, so that each is written once.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from unittest import mock

from imagen_batch.cli.argument_parser import make_parser
from imagen_batch.cli.strict_parser import Parser
from imagen_batch.providers.catalogue import Model, load_catalogue
from imagen_batch.reports.tables.manifest import manifest_columns
from imagen_batch.settings import ENV_PREFIX, Settings
from tools.docs.markdown import cells_below, code, markdown_table

DOCS = Path(__file__).parents[2] / "docs"
_NOTE = "<!-- Written by `python -m tools.docs.reference`. Change the program, not this page. -->\n"
_WIDTH = "80"


def generated_pages(docs: Path = DOCS) -> dict[str, str]:
    """Return the text of each generated page by its name below `docs/reference/`."""
    reference = (docs / "reference.md").read_text(encoding="utf-8")
    return {
        "commands.md": commands_page(),
        "settings.md": settings_page(meanings(reference, "setting | default | meaning")),
        "columns.md": columns_page(meanings(reference, "column | meaning")),
        "models.md": models_page(),
    }


def main() -> None:
    """Write all pages."""
    folder = DOCS / "reference"
    folder.mkdir(exist_ok=True)
    for name, text in generated_pages().items():
        (folder / name).write_text(text, encoding="utf-8")


def meanings(page: str, header: str) -> dict[str, str]:
    """Return the last cell of each row below `header`, by the name in its first cell. Links work from a subfolder."""
    rows = cells_below(page, header)
    return {row[0].strip("`"): row[-1].replace("](", "](../").replace("](../#", "](../reference.md#") for row in rows}


def commands_page() -> str:
    """Return the help text of every command, as a terminal of 80 columns shows it."""
    with mock.patch.dict(os.environ, {"COLUMNS": _WIDTH}):
        helps = dict(_help_texts(make_parser()))
    intro = "# Commands\n\nLook up every command and every option. These are the texts of `--help`.\n"
    sections = [f"## {name}\n\n```text\n{text.strip()}\n```\n" for name, text in helps.items()]
    return "\n".join([intro, _NOTE, *sections])


def _help_texts(parser: Parser) -> Iterator[tuple[str, str]]:
    yield parser.prog, parser.format_help()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in dict.fromkeys(action.choices.values()):
                yield from _simulator_help(command) if command.prog.endswith(" simulate") else _help_texts(command)


def _simulator_help(command: Parser) -> Iterator[tuple[str, str]]:
    """Return the help of the simulator, which has a parser of its own."""
    from imagen_batch.simulator.command import make_parser as simulator_parser  # noqa: PLC0415

    yield command.prog, simulator_parser().format_help()


def settings_page(meaning: Mapping[str, str]) -> str:
    """Return every setting with its option and its environment variable."""
    options = _options_by_setting()
    rows = [
        [code(name), ", ".join(map(code, options.get(name, ()))), _variable(name), meaning.get(name, "")]
        for name in Settings.model_fields
    ]
    intro = (
        "# Settings\n\nFind the option and the environment variable of each setting. "
        "[The reference](../reference.md#settings) has defaults and says which of them is used.\n"
    )
    return "\n".join([intro, _NOTE, markdown_table(["setting", "option", "environment variable", "meaning"], rows)])


def _variable(name: str) -> str:
    return "" if name == "prompts" else code(f"{ENV_PREFIX}{name.upper()}")


def _options_by_setting() -> dict[str, list[str]]:
    """Return the options that give each setting a value, of all commands, in the order of the help."""
    found: dict[str, dict[str, None]] = {}
    names = {"parameter": "parameters"}
    for command in (make_parser().commands or {}).values():
        for action in command._actions:
            shown = [option for option in action.option_strings if option.startswith("--")]
            if action.help != argparse.SUPPRESS:
                found.setdefault(names.get(action.dest, action.dest), {}).update(dict.fromkeys(shown))
    return {name: list(options) for name, options in found.items()}


def columns_page(meaning: Mapping[str, str]) -> str:
    """Return every column of the manifest with its type in Parquet."""
    rows = [[code(column.name), str(column.type), meaning.get(column.name, "")] for column in manifest_columns(())]
    intro = (
        "# Manifest columns\n\nLook up what a column of `manifest.csv` and `manifest.parquet` holds, and its type in "
        "Parquet. Your own columns follow these, with "
        "[types of their own](../reference.md#manifest-columns).\n"
    )
    return "\n".join([intro, _NOTE, markdown_table(["column", "type", "meaning"], rows)])


def models_page() -> str:
    """Return the catalogue: what each model accepts, costs, and its state."""
    catalogue = load_catalogue({})
    ordered = sorted(catalogue, key=lambda model: (bool(model.shutdowns), model.deprecated))
    sections = [_model_section(model, default=model.id == catalogue.default) for model in ordered]
    intro = (
        "# Models\n\nChoose a model: what each accepts and costs in USD per image. `imagen-batch models` prints the "
        "same for the version that you have installed.\n"
    )
    return "\n".join([intro, _NOTE, *sections])


def _model_section(model: Model, *, default: bool) -> str:
    ends = ", ".join(f"{day} on {_SERVICES[provider]}" for provider, day in model.shutdowns.items())
    facts = {
        "state": f"shut down {ends}" if ends else "deprecated" if model.deprecated else "current",
        "successor": code(model.successor) if model.successor else "",
        "price": ", ".join(f"{size} ${price:g}" for size, price in model.prices.items()) or "unknown",
        "aspect ratios": ", ".join(model.ratios) or "any",
        "sizes": ", ".join(model.sizes) or "any",
        "images a request": str(model.samples_per_request),
        "dialect": code(model.dialect),
        "price read": f"{model.price_read or ''}",
    }
    rows = [[name, value] for name, value in facts.items() if value]
    return f"## {model.id}{' (default)' if default else ''}\n\n{markdown_table(['fact', 'value'], rows)}"


_SERVICES = {"gemini": "the Gemini API", "vertex": "Vertex AI"}


if __name__ == "__main__":
    main()
