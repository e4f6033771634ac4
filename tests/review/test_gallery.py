"""Tests the content of the page, and that no text in it can run or load anything."""

import base64
import hashlib
import html.parser
import io
import json
import re
import tracemalloc

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagen_batch.review import (
    Decision,
    EarlierVersion,
    GalleryItem,
    build_gallery,
    items_from_manifest,
    write_gallery,
)
from imagen_batch.review.page_data import chunks, script_json
from tests.review.run_folders import HOSTILE, key_of, run_folder, write_manifest


def item(row=1, sample=1, **fields) -> GalleryItem:
    return GalleryItem(**{"row": row, "sample": sample, "status": "ok", "prompt": "p", "key": key_of(row), **fields})


def render(items, *, title="t", run="r") -> str:
    target = io.BytesIO()
    write_gallery(items, target, title=title, run=run)
    return target.getvalue().decode()


class Elements(html.parser.HTMLParser):
    """Collects every element's name, and the text of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.contents: list[tuple[str, dict, str]] = []
        self._open: tuple[str, dict, list[str]] | None = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        assert not any(name.startswith("on") or name == "style" for name, _ in attrs)
        self._open = (tag, dict(attrs), [])

    def handle_data(self, data):
        if self._open:
            self._open[2].append(data)

    def handle_endtag(self, tag):
        if self._open and tag in {"script", "style"}:
            self.contents.append((*self._open[:2], "".join(self._open[2])))


def test_the_policy_allows_exactly_the_scripts_and_styles_of_the_page():
    text = render([item()])
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for kind, attributes, content in Elements(text).contents:
        if attributes.get("type") != "application/json":
            digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
            assert f"{kind}-src 'sha256-{digest}'" in policy


def test_the_page_contains_no_address_and_loads_no_module():
    text = render([item()])
    assert not re.search(r"https?://", text)
    assert not re.search(
        r"\bfetch\(|\bimport\(|type=.module|\beval\(|innerHTML|outerHTML|insertAdjacentHTML|document\.write", text
    )


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_adds_no_element(hostile):
    plain = Elements(render([item(user={"a": "b"})])).names
    full = item(
        prompt=hostile, id=hostile, model=hostile, reason=hostile, warnings=(hostile,), user={hostile: hostile},
        earlier=(EarlierVersion(version=1, status=hostile, prompt=hostile),), note=hostile, file=hostile,
    )  # fmt: skip
    assert Elements(render([full], title=hostile, run=hostile)).names == plain


@given(st.text(st.characters()))
def test_any_text_is_encoded_in_plain_ascii_and_decoded_unchanged(text):
    encoded = script_json([text])
    assert encoded.isascii()
    assert not set("<>&") & set(encoded)
    assert json.loads(encoded) == [text]


def test_a_rows_samples_stay_in_one_chunk_and_nothing_is_lost():
    items = [item(row, sample, user={"n": str(row)}) for row in range(1, 200) for sample in range(1, 8)]
    parts = [json.loads(part) for part in chunks(items, first=10, size=50)]
    assert sum(part["count"] for part in parts) == len(items)
    rows = [part["numbers"]["row"] for part in parts]
    flat = [set(row if isinstance(row, list) else [row]) for row in rows]
    assert sum(map(len, flat)) == 199
    assert parts[0]["count"] == 14


def test_constant_columns_are_written_once_and_a_cost_of_zero_is_not_lost():
    (part,) = [json.loads(part) for part in chunks([item(row, cost_usd=0.0, model="m") for row in range(1, 40)])]
    assert part["numbers"]["cost_usd"] == 0.0
    assert part["texts"][part["texted"]["model"]] == "m"
    assert "reason" not in part["texted"]


def test_memory_does_not_grow_with_the_number_of_items():
    def peak(count: int) -> int:
        tracemalloc.start()
        target = _NullTarget()
        write_gallery((item(row, prompt=f"{row} " * 20) for row in range(1, count)), target, title="t", run="r")
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    assert peak(24_000) < peak(8_000) * 1.2


class _NullTarget(io.RawIOBase):
    def write(self, data):
        return len(data)


def test_an_empty_run_has_a_page():
    assert render([]).count('class="items"') == 0


# --- from a run folder


def test_items_are_the_manifests_rows(tmp_path):
    folder = run_folder(tmp_path, rows=5)
    items = list(items_from_manifest(folder))
    assert len(items) == 20
    assert (items[0].row, items[0].id, items[0].sample, items[0].version) == (1, "scene-1", 1, 1)
    assert (items[0].width, items[0].height, items[0].cost_usd) == (96, 72, 0.04)
    assert items[0].user == {"chapter": "1 The River"}
    assert (items[0].category, items[0].reason, items[0].file[:7]) == (None, None, "images/")
    assert (items[7].status, items[7].category, items[7].file) == ("failed", "timeout", None)
    assert items[7].reason == "The service did not answer in time."
    assert (items[18].category, items[18].reason) == ("violence", "Blocked: violence.")


def test_columns_of_later_versions_are_read(tmp_path):
    extra = [
        pa.field("input_prompt", pa.string()), pa.field("warnings", pa.string()), pa.field("version", pa.int64()),
        pa.field("something_new", pa.string()), pa.field("review", pa.string()),
    ]  # fmt: skip
    base = {"row": 1, "sample": 1, "status": "ok", "prompt": "sent", "key": "k", "chapter": "c", "something_new": "x"}
    records = [
        {**base, "version": 1, "review": "redo", "file": "a.png"},
        {**base, "version": 2, "review": "approved", "input_prompt": "own", "warnings": "aspect_ratio, flat_color"},
    ]
    (only,) = items_from_manifest(write_manifest(tmp_path, records, extra=extra))
    assert (only.version, only.decision, only.input_prompt) == (2, "approve", "own")
    assert only.warnings == ("aspect_ratio", "flat_color")
    assert only.user == {"chapter": "c"}
    assert [(old.version, old.file, old.decision) for old in only.earlier] == [(1, "a.png", "redo")]


def test_decisions_are_found_by_key_after_rows_have_moved(tmp_path):
    folder = run_folder(tmp_path, rows=3, samples=1)
    decisions = [
        Decision(row=1, sample=1, key=key_of(3), decision="redo", prompt="new", seed=5, note="n"),
        Decision(row=2, sample=1, decision="approve"),
    ]
    items = list(items_from_manifest(folder, decisions=decisions))
    assert [each.decision for each in items] == [None, "approve", "redo"]
    assert (items[2].edited_prompt, items[2].new_seed, items[2].note) == ("new", 5, "n")


def test_a_decision_without_a_version_is_about_the_current_one(tmp_path):
    base = {"row": 1, "sample": 1, "status": "ok", "prompt": "p", "key": key_of(1)}
    extra = [pa.field("version", pa.int64())]
    folder = write_manifest(
        tmp_path, [{**base, "version": 2}, {**base, "row": 2, "version": 2, "key": "k"}], extra=extra
    )
    decisions = [
        Decision(row=1, sample=1, decision="reject"),
        Decision(row=2, sample=1, version=1, decision="redo"),
    ]
    assert [each.decision for each in items_from_manifest(folder, decisions=decisions)] == ["reject", None]


def test_history_can_be_given(tmp_path):
    folder = run_folder(tmp_path, rows=1, samples=1)
    history = {(1, 1): [EarlierVersion(version=1, status="filtered")]}
    (only,) = items_from_manifest(folder, history=history)
    assert only.earlier == tuple(history[(1, 1)])


def test_a_gallery_has_thumbnails_and_keeps_its_run_id(tmp_path):
    folder = run_folder(tmp_path, rows=2)
    summary = build_gallery(folder)
    assert (summary.items, summary.without_thumbnail, summary.problems) == (8, 0, ())
    names = [re.search(r'"run":"([0-9a-f]{32})"', (folder / "gallery.html").read_text())[1]]
    next(folder.glob("images/*")).write_bytes(b"broken")
    for thumbnail in folder.glob(".imagen-batch/thumbs/*/*"):
        thumbnail.unlink()
    assert build_gallery(folder).without_thumbnail == 1
    names.append(re.search(r'"run":"([0-9a-f]{32})"', (folder / "gallery.html").read_text())[1])
    assert names[0] == names[1]
    assert not list(folder.glob("*.part"))


def test_a_broken_review_does_not_stop_the_gallery_and_is_reported(tmp_path):
    folder = run_folder(tmp_path, rows=1)
    (folder / "review.csv").write_text("row,sample,decision\n1,1,perhaps\n")
    assert [problem.line for problem in build_gallery(folder).problems] == [2]
    (folder / "review.csv").write_text("row,sample,decision\n1,1,reject\n")
    assert build_gallery(folder).problems == ()
    assert '"reject"' in (folder / "gallery.html").read_text()
