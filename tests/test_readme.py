"""README and the other pages of documentation agree with the code."""

import ast
import re
import shlex
import tomllib
from pathlib import Path

import orjson
import pytest

from imagen_batch.cli.argument_parser import COMMANDS, parse
from imagen_batch.cli.dispatch import main
from imagen_batch.prompts import open_prompts
from imagen_batch.prompts.column_names import ALIASES
from imagen_batch.providers.catalogue import load_catalogue
from imagen_batch.records import OUTCOMES, PromptRow
from imagen_batch.reports.tables.manifest import manifest_columns
from imagen_batch.settings import DEFAULT_MODEL, Parameters, Settings, load_settings, make_settings
from imagen_batch.simulator.faults.all_faults import FAULTS
from imagen_batch.simulator.faults.choose_fault import RuleInvalid, read_rules

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
DOCS = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}
GENERATED = {
    f"reference/{path.name}": path.read_text(encoding="utf-8") for path in (ROOT / "docs/reference").glob("*.md")
}
PAGES = {"README.md": README, **DOCS, **GENERATED}


def table(header: str, page: str = REFERENCE) -> list[list[str]]:
    """Return the cells below `header`, row by row, without backquotes."""
    _, found, below = page.partition(f"\n| {header} |\n")
    assert found, header
    lines = below.split("\n\n")[0].splitlines()[1:]
    return [[cell.strip().replace("`", "") for cell in line[1:-1].split("|")] for line in lines]


def blocks(language: str, page: str) -> list[str]:
    """Return the fenced blocks in `language`."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


def command_lines() -> list[list[str]]:
    """Return the arguments of every imagen-batch command in a block for a shell, on any page."""
    lines = [line for page in PAGES.values() for block in blocks("sh", page) for line in block.splitlines()]
    commands = {line.partition("#")[0].strip(): None for line in lines if line.startswith("imagen-batch ")}
    return [shlex.split(command)[1:] for command in commands]


@pytest.mark.parametrize("arguments", command_lines(), ids=" ".join)
def test_every_command_line_parses(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Newcomers copy them."""
    if arguments[0] == "simulate":  # has its own parser, and would start a server
        assert main([*arguments, "--list-faults"]) == 0
    else:
        parse(arguments)


def test_every_option_exists(capsys: pytest.CaptureFixture[str]) -> None:
    """The command has each `--flag` of any page, apart from lines for other programs."""
    known: set[str] = {"--help", "--version"}
    for command in (*COMMANDS, "review redo"):
        with pytest.raises(SystemExit):
            main([*command.split(), "--help"])
        known |= set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out))
    for name, page in PAGES.items():
        own = re.sub(r"^(?:df-gallery|lenslet) .*$", "", page, flags=re.MULTILINE)
        assert set(re.findall(r"--[a-z][a-z-]+", own)) <= known, name


def test_the_manifest_has_the_columns_of_the_table() -> None:
    """The table has all of them, in this order, and no other."""
    listed = [name for name, _ in table("column | meaning")]
    assert listed == [column.name for column in manifest_columns([])]


def test_the_input_has_the_columns_of_the_table() -> None:
    """The table has all their other names, too."""
    listed = {
        name: (name, *filter(None, also.split(", "))) for name, also, _ in table("column | also called | meaning")
    }
    assert listed == ALIASES


def test_the_outcomes_are_those_of_the_table() -> None:
    """The order is that of every summary."""
    assert tuple(status for status, *_ in table("status | meaning | sent again by the next run")) == OUTCOMES


def test_the_exit_codes_are_those_of_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    """1 is for bugs, which a help text does not promise."""
    listed = {code for codes, _ in table("exit code | meaning") for code in codes.split(", ")}
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    promised = capsys.readouterr().out.partition("exit codes: ")[2]
    assert listed == {"1", *re.findall(r"\b\d+\b", promised)}


@pytest.mark.parametrize("page", PAGES)
def test_the_exit_codes_of_a_page_are_in_the_table(page: str) -> None:
    """The codes that it mentions in tables and sentences exist."""
    listed = {code for codes, _ in table("exit code | meaning") for code in codes.split(", ")}
    assert set(re.findall(r"\bcode (\d+)\b", PAGES[page])) <= listed


def test_the_readme_has_every_exit_code_but_that_of_a_bug() -> None:
    """Each has one short sentence."""
    listed = {code for codes, _ in table("exit code | meaning") for code in codes.split(", ")}
    section = README.partition("\n## Exit codes\n")[2].partition("[The")[0]
    assert {"1", *re.findall(r"\b\d+\b", section)} == listed


def test_the_prices_are_those_of_the_catalogue() -> None:
    """They agree model by model and size by size, and so do the models that are shut down."""
    catalogue = load_catalogue({})
    rows = {name.split()[0]: cells for name, *cells in table("model | 512 | 1K | 2K | 4K | life")}
    assert set(rows) == set(catalogue.ids())
    for model in catalogue:
        *prices, life = rows[model.id]
        listed = {size: float(usd) for size, usd in zip(("512", "1K", "2K", "4K"), prices, strict=True) if usd}
        assert listed == dict(model.prices), model.id
        ended = model.shutdowns.get("gemini")
        assert life.startswith(f"shut down {ended}" if ended else "deprecated" if model.deprecated else "current")
    assert f"`{DEFAULT_MODEL}` (default)" in REFERENCE


def test_the_settings_are_those_of_the_table() -> None:
    """The table has all of them in the order of the code, each with its default."""
    listed = {name: default for name, default, _ in table("setting | default | meaning")}
    assert list(listed) == list(Settings.model_fields)
    plain = {name: field.default for name, field in Settings.model_fields.items() if not field.is_required()}
    shown = {name: str(default) for name, default in plain.items() if isinstance(default, str | int | float)}
    assert {name: default for name, default in listed.items() if default} == shown


def test_every_dependency_has_its_reason() -> None:
    """A dependency that was removed has no reason left."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = {package_name(requirement): "" for requirement in project["dependencies"]}
    for extra in extras.keys() - {"dev"}:
        names = [package_name(requirement) for requirement in extras[extra]]
        wanted |= {name: f" (extra {extra})" for name in names if name not in wanted}
    listed = {name for name, _ in table("package | why", DOCS["development.md"])}
    assert listed == {name + extra for name, extra in wanted.items()}


def package_name(requirement: str) -> str:
    """Return the package in a requirement such as `prefect>=3`."""
    return re.split(r"[\[<>=~! ]", requirement)[0]


def test_the_settings_file_of_the_readme_is_valid(tmp_path: Path) -> None:
    """Every name in it is a setting, and its models go into the catalogue."""
    (block,) = blocks("toml", REFERENCE)
    (tmp_path / "imagen-batch.toml").write_text(block, encoding="utf-8")
    settings = load_settings({"prompts": "-"}, env={}, cwd=tmp_path)
    assert load_catalogue(settings.models).get("our-model")


def test_every_parameter_is_named() -> None:
    """The sentence that lists them is complete."""
    listed = re.search(r"^Parameters are (.*?)\.$", REFERENCE, re.DOTALL | re.MULTILINE)
    assert listed
    assert set(re.findall(r"`(\w+)`", listed[1])) == set(Parameters.model_fields)


def example_file(folder: Path) -> Path:
    """Write the prompt file that README and quick start show."""
    (block,) = {*blocks("csv", README), *blocks("csv", DOCS["quick-start.md"])}
    source = folder / "book.csv"
    source.write_text(block, encoding="utf-8")
    return source


def test_the_example_is_a_valid_prompt_file(tmp_path: Path) -> None:
    """It has two rows, four images, and one user column."""
    file = open_prompts(example_file(tmp_path))
    rows = list(file.rows())
    assert all(isinstance(row, PromptRow) for row in rows)
    assert sum(row.samples or 1 for row in rows if isinstance(row, PromptRow)) == 4
    assert file.user_columns == ("chapter",)


def test_the_problems_of_a_file_are_printed_as_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report in README and quick start is what `plan` prints for such a file."""
    monkeypatch.chdir(tmp_path)
    Path("bad.csv").write_text('aspect ratio,prompt\n16:09:00,a fox\n1:1,""\n', encoding="utf-8")
    assert main(["plan", "bad.csv"]) == 5
    printed = capsys.readouterr()
    (shown,) = set(
        re.findall(r"^```\w*\n(line 2: .*?)^```$", README + DOCS["quick-start.md"], re.DOTALL | re.MULTILINE)
    )
    assert shown.strip() in {printed.out.strip(), printed.err.strip()}


def test_the_plan_of_the_example_is_printed_as_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The quick start has all of its lines."""
    example_file(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert main(["plan", "book.csv"]) == 0
    shown = next(block for block in blocks("text", DOCS["quick-start.md"]) if block.startswith("rows "))
    assert capsys.readouterr().out == shown


def test_the_faults_are_understood() -> None:
    """The rules of the file and the markers name faults that exist."""
    (block,) = blocks("json", REFERENCE)
    assert len(read_rules(orjson.loads(block))) == 3
    assert set(re.findall(r"\[\[sim:(\w+)", "".join(PAGES.values()))) <= FAULTS.keys()


def test_the_fields_of_a_fault_rule_are_those_of_the_table() -> None:
    """A rule with an unknown field is refused with a list of those that are known."""
    listed = {name for name, _ in table("field of a rule | meaning")}
    with pytest.raises(RuleInvalid) as refusal:
        read_rules([{"fault": "reset", "unknown": 1}])
    assert listed == set(re.findall(r"\b[a-z]+\b", str(refusal.value).rpartition("knows ")[2]))


def test_the_deployment_names_a_flow_and_its_settings() -> None:
    """The flow that it serves is ours; its settings are settings; the path for `prefect deploy` has the flow."""
    page = DOCS["prefect.md"]
    (sample,) = [block for block in blocks("python", page) if "serve" in block]
    tree = ast.parse(sample)
    imported = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert ("imagen_batch.orchestration", "generate_images") in {(n.module, n.names[0].name) for n in imported}
    settings = sample.partition('"settings": {')[2].partition("}")[0]
    make_settings(dict.fromkeys(re.findall(r'"(\w+)":', settings), "1"))
    path, name = re.search(r"prefect deploy ([\w/.]+):(\w+)", page).groups()  # type: ignore[union-attr]
    flow_file = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    imports = [node for node in flow_file.body if isinstance(node, ast.ImportFrom)]
    assert name in {alias.name for node in imports for alias in node.names}
