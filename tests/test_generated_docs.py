"""Generated pages are up to date, every page can be found, and messages that pages quote are those of the code."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest
import yaml

from imagen_batch.providers.wire.service_error import DESCRIPTIONS
from tools.docs.reference import generated_pages, settings_page
from tools.docs.site_links import without_outside_links

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))
TROUBLESHOOTING = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", generated_pages())
def test_a_generated_page_is_up_to_date(name: str) -> None:
    """`python -m tools.docs.reference` writes them again."""
    assert (DOCS / "reference" / name).read_text(encoding="utf-8") == generated_pages()[name]


def test_every_file_in_the_reference_is_generated() -> None:
    """A page whose generator is gone would become wrong unnoticed."""
    assert {path.name for path in (DOCS / "reference").iterdir()} == set(generated_pages())


def test_a_setting_without_a_meaning_is_shown_without_one() -> None:
    """The test of the reference's table names it."""
    assert "| `model` | `--model` | `IMAGEN_BATCH_MODEL` |  |" in settings_page({})


def test_every_page_is_in_the_navigation_and_in_the_index() -> None:
    """The site and GitHub lead to each of them."""
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert sorted(_leaves(config["nav"])) == PAGES
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    assert {page for page in PAGES if f"]({page}" not in index} == {"index.md"}


def _leaves(nav: object) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    below = nav.values() if isinstance(nav, dict) else nav
    return [leaf for each in below for leaf in _leaves(each)]  # type: ignore[union-attr]


def test_the_site_makes_no_requests_to_other_hosts() -> None:
    """It uses no web fonts, no scripts or styles of a CDN and no analytics, and searches in the browser."""
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert config["theme"]["font"] is False
    assert config["plugins"] == ["search"]
    assert not {"extra_javascript", "repo_url"} & config.keys()
    for file in (*(DOCS / "images").glob("*.svg"), *(DOCS / name for name in config["extra_css"])):
        assert not re.search(r"url\((?!#)|href=\"http|@import", file.read_text(encoding="utf-8"))


def test_a_link_out_of_the_documentation_is_text_on_the_site() -> None:
    """It names the file; links between pages stay."""
    page = "[the book](../prompts/willows/README.md#rows), [outputs](outputs.md#names) and ![one](../x.png)"
    text = without_outside_links(page, "illustrating.md")
    assert text == "the book (`prompts/willows/README.md`), [outputs](outputs.md#names) and ![one](../x.png)"
    inner = "[a](../outputs.md#names) [b](../../README.md)"
    assert without_outside_links(inner, "reference/commands.md") == "[a](../outputs.md#names) b (`README.md`)"


def test_every_description_of_a_service_error_is_in_the_troubleshooting() -> None:
    """A new kind of error has to be explained."""
    assert {text for text in DESCRIPTIONS.values() if f"`{text}`" not in TROUBLESHOOTING} == set()


@pytest.mark.parametrize("message", re.findall(r"^\| `(.+?)` \| .+ \| .+ \|$", TROUBLESHOOTING, re.MULTILINE))
def test_a_message_of_the_troubleshooting_is_one_of_the_code(message: str) -> None:
    """Each stretch between dots is part of a text in the package. Outcomes and kinds of errors are texts, too."""
    fixed = [part.strip() for text in message.split("`, `") for part in text.split("...")]
    parts = [part for part in fixed if len(part.strip(" .:,")) > 3]
    assert parts
    known = texts_of_the_package() | {"filtered_input", "filtered_output"}  # put together in the code
    assert [part for part in parts if not any(part in text for text in known)] == []


@cache
def texts_of_the_package() -> frozenset[str]:
    """Return every text in the package's code, and the fixed parts of every text with values in it."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "imagen_batch").rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return frozenset(node.value for node in nodes if isinstance(node.value, str))
