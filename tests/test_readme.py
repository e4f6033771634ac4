"""What the README says is what the code does."""

import ast
import re
import shlex
import tomllib
from pathlib import Path

import orjson
import pytest

from imagen_batch.cli.arguments import make_parser, spread_retry
from imagen_batch.cli.commands import main
from imagen_batch.prompts import open_prompts
from imagen_batch.prompts.column_names import ALIASES
from imagen_batch.providers.catalogue import load_catalogue
from imagen_batch.records import OUTCOMES, PromptRow
from imagen_batch.reports.manifest import manifest_columns
from imagen_batch.settings import DEFAULT_MODEL, Parameters, load_settings, validated
from imagen_batch.simulator.faults.rules import read_rules
from imagen_batch.simulator.faults.table import FAULTS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def table(header: str) -> list[list[str]]:
    """The cells below `header`, row by row, without backquotes."""
    _, found, below = README.partition(f"\n| {header} |\n")
    assert found, header
    lines = below.split("\n\n")[0].splitlines()[1:]
    return [[cell.strip().replace("`", "") for cell in line[1:-1].split("|")] for line in lines]


def blocks(language: str) -> list[str]:
    """The fenced blocks in `language`."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def typed() -> list[list[str]]:
    """The arguments of every imagen-batch in the README's blocks for a shell."""
    lines = (line for block in blocks("sh") for line in block.splitlines())
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("imagen-batch ")]


@pytest.mark.parametrize("arguments", typed(), ids=" ".join)
def test_every_command_line_parses(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A newcomer copies them."""
    if arguments[0] == "simulate":  # has a parser of its own, and would serve
        assert main([*arguments, "--list-faults"]) == 0
    else:
        make_parser().parse_args(spread_retry(arguments))


def test_every_option_exists(capsys: pytest.CaptureFixture[str]) -> None:
    """Each `--flag` of the page is one of ours."""
    known: set[str] = set()
    for command in ("run", "plan", "resume", "status", "audit", "simulate", "models"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        known |= set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out))
    assert set(re.findall(r"--[a-z][a-z-]+", README)) <= known


def test_the_manifest_has_the_columns_of_the_table() -> None:
    """All of them, in this order, and no other."""
    told = [name for name, _ in table("column | meaning")]
    assert told == [column.name for column in manifest_columns([])]


def test_the_input_has_the_columns_of_the_table() -> None:
    """With all their other names."""
    told = {
        name: (name, *filter(None, also.split(", "))) for name, also, _ in table("column | also called | meaning")
    }
    assert told == ALIASES


def test_the_outcomes_are_those_of_the_table() -> None:
    """In the order of every summary."""
    assert tuple(status for status, *_ in table("status | meaning | sent again by the next run")) == OUTCOMES


def test_the_exit_codes_are_those_of_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    """1 is for bugs, which a help text does not promise."""
    told = {code for codes, _ in table("exit code | meaning") for code in codes.split(", ")}
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    promised = capsys.readouterr().out.partition("exit codes: ")[2]
    assert told == {"1", *re.findall(r"\b\d+\b", promised)}


def test_the_prices_are_those_of_the_catalogue() -> None:
    """Model by model, size by size; and what is shut down is told so."""
    catalogue = load_catalogue({})
    rows = {name.split()[0]: cells for name, *cells in table("model | 512 | 1K | 2K | 4K | life")}
    assert set(rows) == set(catalogue.ids())
    for model in catalogue:
        *prices, life = rows[model.id]
        told = {size: float(usd) for size, usd in zip(("512", "1K", "2K", "4K"), prices, strict=True) if usd}
        assert told == dict(model.prices), model.id
        ended = model.shutdowns.get("gemini")
        assert life.startswith(f"shut down {ended}" if ended else "deprecated" if model.deprecated else "current")
    assert f"`{DEFAULT_MODEL}` (default)" in README


def test_every_dependency_has_its_reason() -> None:
    """And no reason is left of a dependency that went."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = {name_of(one): "" for one in project["dependencies"]}
    for extra in extras.keys() - {"dev"}:
        wanted |= {name: f" (extra {extra})" for one in extras[extra] if (name := name_of(one)) not in wanted}
    assert {name for name, _ in table("package | why")} == {name + extra for name, extra in wanted.items()}


def name_of(requirement: str) -> str:
    """The package that a requirement such as `prefect>=3` asks for."""
    return re.split(r"[\[<>=~! ]", requirement)[0]


def test_the_settings_file_is_understood(tmp_path: Path) -> None:
    """Every name in it is a setting, and its models go into the catalogue."""
    (block,) = blocks("toml")
    (tmp_path / "imagen-batch.toml").write_text(block, encoding="utf-8")
    settings = load_settings({"prompts": "-"}, env={}, here=tmp_path)
    assert load_catalogue(settings.models).get("our-model")


def test_every_parameter_is_named() -> None:
    """The sentence that lists them lists all."""
    listed = re.search(r"^Parameters are (.*?)\.$", README, re.DOTALL | re.MULTILINE)
    assert listed
    assert set(re.findall(r"`(\w+)`", listed[1])) == set(Parameters.model_fields)


def test_the_example_is_a_sound_prompt_file(tmp_path: Path) -> None:
    """Two rows, four pictures, one column of the user's own."""
    (block,) = blocks("csv")
    source = tmp_path / "book.csv"
    source.write_text(block, encoding="utf-8")
    file = open_prompts(source)
    rows = list(file.rows())
    assert all(isinstance(row, PromptRow) for row in rows)
    assert sum(row.samples or 1 for row in rows if isinstance(row, PromptRow)) == 4
    assert file.user_columns == ("chapter",)


def test_the_faults_are_understood() -> None:
    """Those of the file, and those of the markers."""
    (block,) = blocks("json")
    assert len(read_rules(orjson.loads(block))) == 3
    assert set(re.findall(r"\[\[sim:(\w+)", README)) <= FAULTS.keys()


def test_the_deployment_names_a_flow_and_its_settings() -> None:
    """Its entrypoint stands where it says; its settings are settings."""
    (sample,) = [block for block in blocks("python") if "serve" in block]
    path, name = re.search(r'entrypoint="(.+?):(\w+)"', sample).groups()  # type: ignore[union-attr]
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert name in {alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    given = sample.partition('"settings": {')[2].partition("}")[0]
    validated(dict.fromkeys(re.findall(r'"(\w+)":', given), "1"))
