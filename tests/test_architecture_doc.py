"""The documentation names existing files, and its layers are those of the import linter."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = (
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "benchmarks/README.md", "prompts/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
)
TOP = ("imagen_batch/", "flows/", "tests/", "benchmarks/", "docs/", "prompts/")
PATH = re.compile(r"`((?:[\w.-]+/)+[\w.-]*)`")
MODULE = re.compile(r"python -m (benchmarks[\w.]+|tests[\w.]+)")
LINK = re.compile(r"\]\(([^):#]*)(?:#([\w-]+))?\)")


def named_paths(text: str) -> list[str]:
    """Return every path of this repository that a page names, as `file` or as a module to run."""
    paths = [path for path in PATH.findall(text) if path.startswith(TOP)]
    modules = [module.rstrip(".").replace(".", "/") + ".py" for module in MODULE.findall(text)]
    return paths + modules


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as web pages make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    """A file that is moved without its mention in the documentation fails here."""
    missing = [path for path in named_paths(page.read_text(encoding="utf-8")) if not (ROOT / path).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_page_and_a_heading(page: Path) -> None:
    """A link without a file refers to a heading of its own page."""
    for name, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), name
        assert not anchor or anchor in anchors(target), f"{name}#{anchor}"


def test_the_layers_are_those_of_the_import_linter() -> None:
    """The table lists them in the same order, from the top down."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = next(contract["layers"] for contract in config["contracts"] if contract["type"] == "layers")
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = page.partition("| layer | what it does |\n")[2].split("\n\n")[0].splitlines()[1:]
    listed = [re.findall(r"`(\w+)`", row.split("|")[1]) for row in rows]
    assert listed == [[name.strip() for name in layer.split("|")] for layer in layers]


def test_every_package_has_its_layer() -> None:
    """Every package in the folder is in the table."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.+?) \|", page, re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    parts = {path.stem for path in (ROOT / "imagen_batch").iterdir() if path.suffix in {".py", ""}}
    assert listed == parts - {"__init__", "__pycache__", "version"}
