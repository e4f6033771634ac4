"""Every citation in code and tests resolves to a section of docs/service-api.md."""

from __future__ import annotations

import re
from pathlib import Path

from imagen_batch.simulator.faults.all_faults import FAULTS

ROOT = Path(__file__).parents[1]
FOLDERS = ("imagen_batch", "tests", "benchmarks", "flows")
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in {".py", ".toml"})
HEADINGS = set(re.findall(r"^#+ (\d+(?:\.\d+)?)\.? ", (ROOT / "docs/service-api.md").read_text(), re.MULTILINE))

CITATION = re.compile(r"\(api: (\d+(?:\.\d+)?(?:, \d+(?:\.\d+)?)*)\)")
# This matches anything similar to a citation: `api: 4`, `api.md 4`, `api-update W9`.
ANY_CITATION = re.compile(r"\bapi(?:-update)?(?:\.md)?:? W?\d|(?<!service-)\bapi(?:-update)?\.md\b|\bapi-update\b")
DOCUMENT = re.compile(r"[\w./-]*[\w-]\.md\b")
OWN_DOCUMENTS = {
    "README.md",
    "CHANGELOG.md",
    "summary.md",
    *(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/**/*.md")),
}
THIS = Path(__file__)


def contents() -> dict[str, str]:
    """Return the text of every source file except this one, by its path."""
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in SOURCES if path != THIS}


def test_citations_have_one_form_and_resolve():
    """The form is `(api: 4.3)`, or `(api: 3.3, 4.1)` for several sections."""
    unresolved, malformed = [], []
    for path, text in contents().items():
        sections = [section for listed in CITATION.findall(text) for section in listed.split(", ")]
        unresolved += [(path, section) for section in sections if section not in HEADINGS]
        malformed += [(path, match[0]) for match in ANY_CITATION.finditer(CITATION.sub("", text))]
    assert unresolved == []
    assert malformed == []


def test_only_documents_of_this_repository_are_cited():
    """A reader can open every document that a comment names."""
    known = OWN_DOCUMENTS | {Path(name).name for name in OWN_DOCUMENTS}
    named = {(path, name) for path, text in contents().items() for name in DOCUMENT.findall(text)}
    assert {(path, name) for path, name in named if name not in known and Path(name).name not in known} == set()


def test_the_sections_of_the_simulator_s_faults_resolve():
    """Each fault names the section that describes it."""
    sections = {section for fault in FAULTS.values() for section in fault.section.split(", ")}
    assert sections <= HEADINGS


def test_the_sources_are_searched():
    """There are citations, so a change of their form is noticed."""
    assert len(HEADINGS) > 15
    assert sum(len(CITATION.findall(text)) for text in contents().values()) > 30
