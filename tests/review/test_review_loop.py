"""Tests the review of a whole book in a real browser, from disk: viewing, marking, editing, exporting."""

import json
from collections import Counter

import pytest

from imagen_batch.review import GalleryItem, write_gallery
from tests.review.browser import CTRL, SHIFT
from tests.review.run_folders import HOSTILE, key_of
from tests.review.test_page_in_browser import ACTIVE, decisions, export_review, open_page, open_value, show_filters

pytestmark = pytest.mark.browser


def test_the_export_of_a_review_has_exactly_the_marks(page, book, tmp_path):
    """40 rows with 4 variants: 5 to redo, 2 to redo with an edited prompt, 30 approved; others marked and undone."""
    open_page(page, book)
    expected = {}
    for row in range(1, 31):  # one variant of each of 30 rows: space looks, a approves
        item = (row - 1) * 4 + (row % 2)
        page.run("document.querySelector('#grid').focus()")
        page.press("Home")
        page.press(*["ArrowRight"] * item)
        assert page.run(ACTIVE) == item
        if row % 10 == 0:
            page.press(" ")
            page.wait_for("document.querySelector('#viewer').open")
            page.press("a", " ")
        else:
            page.press("a")
        expected[row, row % 2 + 1] = ("approve", None)
    page.press("r", "r", "u", "u")  # undone: nothing of it is exported
    page.press("End")
    assert page.run(ACTIVE) == 159
    page.press(*["ArrowLeft"] * 4, modifiers=SHIFT)
    page.press("x")  # five at once: row 39, sample 4, and all of row 40
    expected |= {(39, 4): ("redo", None)} | {(40, sample): ("redo", None) for sample in range(1, 5)}
    for row, added in ((31, " at night"), (32, ' with a "lantern";\nby the river')):
        page.press("/")
        page.run("document.querySelector('#search').value = ''")
        page.type(f"number {row}")
        page.wait_for(f"document.querySelector('.card').dataset.item === '{(row - 1) * 4}'")
        assert page.run("document.querySelector('#found').textContent") == "4 of 160 samples"
        page.press("Escape", "Home", "e")
        page.wait_for("document.querySelector('#dialog').open")
        page.type(added)
        page.press("Enter", modifiers=CTRL)
        expected[row, 1] = ("redo", f"A hedgehog with lantern number {row}{added}")
    page.click("#clear-filters")
    lines = export_review(page, tmp_path)
    assert {(line.row, line.sample): (line.decision, line.prompt) for line in lines} == expected
    assert len(lines) == 37
    assert Counter((line.decision, line.prompt is not None) for line in lines) == {
        ("approve", False): 30,
        ("redo", False): 5,
        ("redo", True): 2,
    }
    assert all(
        line.key == key_of(line.row) and line.version == 1 and line.id == f"scene-{line.row}" for line in lines
    )
    assert all(line.seed is None and line.note is None for line in lines)
    open_page(page, book)  # and all of it is there after a reload
    assert page.run("document.querySelector('#progress-text').textContent") == "37 of 160 decided"
    assert page.complaints() == []


def refused_items():
    shared = {"sample": 1, "status": "filtered", "prompt": "Two foxes fighting", "reason": "Blocked.", "model": "m"}
    advice = "Describe the moment before or after, without blood and weapons."
    return [
        GalleryItem(row=1, id="duel", key=key_of(1), category="violence", advice=advice, **shared),
        GalleryItem(row=2, key=key_of(2), **shared),
    ]


def write_page(folder, items, **options):
    with (folder / "gallery.html").open("wb") as target:
        write_gallery(items, target, title="book", run="r", **options)
    return folder


def test_a_refused_card_has_the_reason_the_advice_and_an_edit_button(page, tmp_path):
    open_page(page, write_page(tmp_path, refused_items()))
    card = page.run("document.querySelector('[data-item=\"0\"]').textContent")
    for text in ("refused: violence", "Blocked.", "Describe the moment before or after", "Two foxes fighting"):
        assert text in card
    page.click('[data-item="0"] .edit')
    page.wait_for("document.querySelector('#dialog').open")
    assert page.run("document.activeElement.id") == "edit-prompt"
    page.type(" in a meadow")
    page.click("#edit-save")
    [redo] = export_review(page, tmp_path)
    assert (redo.row, redo.decision, redo.prompt) == (1, "redo", "Two foxes fighting in a meadow")


def test_the_full_view_of_a_refused_sample_has_a_box_for_the_prompt(page, tmp_path):
    open_page(page, write_page(tmp_path, refused_items()))
    page.press(" ")
    page.wait_for("document.querySelector('#viewer').open")
    assert "without blood and weapons" in page.run("document.querySelector('#viewer .missing').textContent")
    page.click("#viewer-prompt")
    assert page.run("document.activeElement.id") == "viewer-prompt"
    page.press(*"arx ")  # typed, and no marks
    page.press("Escape")  # leaves the box; the view stays open
    assert page.run("document.querySelector('#viewer').open")
    assert "arx " in page.run("document.querySelector('#viewer-prompt').value")
    page.run("document.querySelector('#viewer-prompt').value = 'Two foxes resting'")
    page.click("#viewer-save")
    page.wait_for("document.querySelector('#viewer .place').textContent.includes('2 of 2')")
    page.press(" ")
    page.wait_for("!document.querySelector('#viewer').open")
    assert decisions(page) == {"0": "redo"}
    [redo] = export_review(page, tmp_path)
    assert redo.prompt == "Two foxes resting"


def test_an_unchanged_prompt_is_a_plain_redo(page, tmp_path):
    open_page(page, write_page(tmp_path, refused_items()))
    page.press(" ")
    page.click("#viewer-save")
    page.press(" ")
    [redo] = export_review(page, tmp_path)
    assert (redo.decision, redo.prompt) == ("redo", None)


def warned_items():
    shared = {"sample": 1, "status": "ok", "prompt": "p", "file": "images/1.png"}
    words = [
        (),
        ("aspect_ratio",),
        ("aspect_ratio", "flat_color"),
        ("duplicate_bytes",),
        ("extra_image",),
        ("later",),
    ]
    return [GalleryItem(row=row, key=key_of(row), warnings=each, **shared) for row, each in enumerate(words, 1)]


def test_warnings_are_shown_in_words_and_filtered_with_three_states(page, tmp_path):
    open_page(page, write_page(tmp_path, warned_items()))
    assert "other aspect ratio, flat color" in page.run(
        "document.querySelector('[data-item=\"2\"] .caption').textContent"
    )
    show_filters(page)
    found = "document.querySelector('#found').textContent"
    ratio = open_value(page, "Warning", "other aspect ratio")
    state = f"document.querySelector({json.dumps(ratio)}).dataset.state"
    for expected in (("include", "2 of 6 samples"), ("exclude", "4 of 6 samples"), ("any", "6 samples")):
        page.click(ratio)
        assert (page.run(state), page.run(found)) == expected
    page.click(ratio)
    page.click(ratio)
    page.click(open_value(page, "Warning", "same bytes as another"))
    assert page.run(found) == "1 of 6 samples"
    labels = page.run(
        "[...document.querySelectorAll('.facet[aria-label=Warning] .label')].map(each => each.textContent)"
    )
    assert set(labels) == {
        "other aspect ratio",
        "flat color",
        "same bytes as another",
        "further image dropped",
        "later",
    }


def test_a_page_that_shows_only_the_first_samples_has_a_notice(page, tmp_path):
    open_page(page, write_page(tmp_path, refused_items(), total=1_234_567))
    assert page.run("document.querySelector('#notice').textContent") == (
        "This page shows the first 100,000 of 1,234,567 samples. manifest.csv has all of them."
    )
    open_page(page, write_page(tmp_path, refused_items(), total=2))
    assert page.run("document.querySelector('#notice').hidden")


def test_hostile_reasons_and_advice_do_nothing(page, tmp_path):
    items = [
        GalleryItem(
            row=row,
            sample=1,
            status="filtered",
            prompt=text,
            reason=text,
            category=text,
            advice=text,
            key=key_of(row),
        )
        for row, text in enumerate(HOSTILE, 1)
    ]
    open_page(page, write_page(tmp_path, items))
    for _ in HOSTILE:
        page.press(" ", "x")
        page.press(" ")
    assert page.run("window.attacked === undefined")
    assert page.run("document.querySelectorAll('script').length") == 2
    assert page.complaints() == []


def test_light_and_dark_follow_the_system_and_the_switch(page, book):
    ground = "getComputedStyle(document.body).backgroundColor"
    light, dark = "rgb(244, 244, 242)", "rgb(22, 22, 21)"
    page.screen(1280, 860, dark=True)
    open_page(page, book)
    assert page.run(ground) == dark
    page.click("#theme")
    assert page.run(ground) == light
    page.click("#theme")
    assert page.run(ground) == dark
    page.screen(1280, 860)
    assert page.run(ground) == dark
    page.click("#theme")
    assert page.run(ground) == light


def test_text_has_enough_contrast_in_both_colors(page, book):
    """Every color of text has at least 4.5 to 1, the limit for small text."""
    open_page(page, book)
    for theme in ("light", "dark"):
        page.run(f"document.documentElement.dataset.theme = '{theme}'")
        low = page.run(_LOW_CONTRAST)
        assert low == []


_LOW_CONTRAST = """(() => {
  const probe = document.body.appendChild(document.createElement("span"));
  const rgb = name => { probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color.match(/[\\d.]+/g).slice(0, 3).map(Number); };
  const light = values => values.map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
  const pairs = [["--ink", "--ground"], ["--ink", "--surface"], ["--soft", "--ground"], ["--soft", "--surface"],
    ["--accent", "--surface"], ["--on-accent", "--accent"], ["--approve", "--ground"], ["--reject", "--ground"],
    ["--redo", "--ground"], ["--warn-ink", "--warn-ground"], ["--soft", "--mat"]];
  const low = pairs.filter(([text, ground]) => {
    const [one, other] = [light(rgb(text)), light(rgb(ground))];
    return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05) < 4.5;
  });
  probe.remove();
  return low.map(pair => pair.join(" on "));
})()"""
