"""Tests the gallery in a real browser, from disk: every test clicks and types as a person does."""

import json
from dataclasses import replace

import pytest

from imagen_batch.review import (
    Decision,
    EarlierVersion,
    GalleryItem,
    build_gallery,
    read_review,
    write_gallery,
    write_review,
)
from tests.review.browser import CTRL, SHIFT
from tests.review.run_folders import HOSTILE, image_bytes, key_of, run_folder

pytestmark = pytest.mark.browser

ACTIVE = "Number(document.activeElement.dataset.item)"


def open_page(page, folder):
    page.open((folder / "gallery.html").as_uri())
    return page


def items_in_document(page):
    """Return the items whose cards are in the document."""
    return page.run(
        "[...document.querySelectorAll('.card')].map(card => Number(card.dataset.item)).sort((a, b) => a - b)"
    )


def decisions(page):
    """Return the decision by item, as the cards show it."""
    return dict(
        page.run(
            "[...document.querySelectorAll('.card')].map(card => [card.dataset.item, card.dataset.decision])"
            ".filter(([, decision]) => decision)"
        )
    )


def export_review(page, tmp_path, name="review.csv"):
    """Return what the download button writes, read by the reader that the next run uses."""
    page.click("#export")
    page.click("#download-review")
    path = page.downloads / name
    page.wait_for("!document.querySelector('#dialog').open")
    for _ in range(200):
        if path.exists() and path.stat().st_size:
            break
        page.run("new Promise(done => setTimeout(done, 20))")
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    return read_review(path)


def show_filters(page):
    if page.run("document.querySelector('#filters').hidden"):
        page.press("f")


def open_value(page, facet, value):
    """Return a CSS selector of one value of a filter."""
    return f'.facet[aria-label="{facet}"] .value[aria-label^="{facet} {value}:"]'


def test_the_page_opens_from_disk_without_network_and_without_complaints(page, book):
    open_page(page, book)
    assert page.run("document.querySelector('#progress-text').textContent") == "0 of 160 decided"
    assert page.run("document.querySelector('#found').textContent") == "160 samples"
    page.wait_for("[...document.querySelectorAll('.tile img')].every(image => image.complete && image.naturalWidth)")
    assert all(url.startswith(book.as_uri()) or url == "data:," for url in page.requested())
    assert page.complaints() == []


def test_cards_show_thumbnails_and_name_what_has_no_image(page, book):
    open_page(page, book)
    sources = page.run("[...document.querySelectorAll('.tile img')].map(image => image.getAttribute('src'))")
    assert sources
    assert all(source.startswith(".imagen-batch/thumbs/") for source in sources)
    failed = page.run("document.querySelector('[data-item=\"7\"] .missing').textContent")
    assert "failed: timeout" in failed
    assert "did not answer" in failed
    assert "lantern number 2" in failed


def test_variants_of_a_row_stand_side_by_side(page, book):
    open_page(page, book)
    tops = page.run(
        '[0, 1, 2, 3].map(item => document.querySelector(`[data-item="${item}"]`).getBoundingClientRect().top)'
    )
    assert len(set(tops)) == 1
    assert (
        page.run("document.querySelector('[data-item=\"0\"]').closest('.group').querySelectorAll('.card').length")
        == 4
    )


def test_every_image_has_an_alternative_text(page, book):
    open_page(page, book)
    assert page.run("document.querySelector('[data-item=\"0\"] img').alt") == (
        "scene-1, sample 1: A hedgehog with lantern number 1"
    )


def test_a_mark_moves_the_focus_on_and_never_elsewhere(page, book):
    open_page(page, book)
    assert page.run(ACTIVE) == 0
    for key, item in (("a", 1), ("r", 2), ("x", 3), ("a", 4)):
        page.press(key)
        assert page.run(ACTIVE) == item
    assert decisions(page) == {"0": "approve", "1": "reject", "2": "redo", "3": "approve"}
    assert page.run("document.querySelector('#progress-text').textContent") == "4 of 160 decided"
    assert "Approved: scene-1, sample 4" in page.run("document.querySelector('#status').textContent")


def test_a_mark_does_not_filter_again_under_the_users_hands(page, book):
    open_page(page, book)
    show_filters(page)
    page.click(open_value(page, "Decision", "undecided"))
    before = items_in_document(page)
    page.run("document.querySelector('#grid').focus()")
    page.press("a", "a", "r")
    assert items_in_document(page) == before
    assert page.run(ACTIVE) == 3
    page.click("#reapply")
    assert items_in_document(page)[0] == 3
    assert page.run("document.querySelector('#found').textContent") == "157 of 160 samples"
    assert page.run(ACTIVE) == 3


def test_undo_goes_back_without_an_end_and_shift_u_forward(page, book):
    open_page(page, book)
    page.press(*"rrxr" * 10)
    assert page.run("document.querySelector('#progress-text').textContent") == "40 of 160 decided"
    page.press(*"u" * 40)
    assert page.run("document.querySelector('#progress-text').textContent") == "0 of 160 decided"
    assert page.run(ACTIVE) == 0
    page.press("u")
    assert "nothing to undo" in page.run("document.querySelector('#status').textContent")
    page.press("U", "U", modifiers=SHIFT)
    assert decisions(page) == {"0": "reject", "1": "reject"}


def test_what_has_no_image_is_not_approved_also_among_others(page, book):
    open_page(page, book)
    page.click('[data-item="7"]')
    page.press("a")
    assert page.run(ACTIVE) == 7
    assert "no image to approve" in page.run("document.querySelector('#status').textContent")
    page.click('[data-item="4"]')
    page.click('[data-item="7"]', modifiers=SHIFT)
    page.press("a")
    assert decisions(page) == {"4": "approve", "5": "approve", "6": "approve"}


def test_several_cards_are_selected_with_shift_arrows_and_marked_at_once(page, book):
    open_page(page, book)
    page.press("ArrowRight", "ArrowRight", "ArrowRight", modifiers=SHIFT)
    assert page.run("document.querySelectorAll('.card.selected').length") == 4
    page.press("r")
    assert decisions(page) == dict.fromkeys("0123", "reject")
    assert page.run(ACTIVE) == 4
    page.press("u")
    assert decisions(page) == {}


def test_several_cards_are_selected_with_the_mouse(page, book):
    open_page(page, book)
    page.click('[data-item="1"]')
    page.click('[data-item="3"]', modifiers=SHIFT)
    page.click('[data-item="2"]', modifiers=CTRL)
    page.press("a")
    assert decisions(page) == {"1": "approve", "3": "approve"}


def test_arrows_keep_the_column_and_scroll_no_further_than_needed(page, book):
    open_page(page, book)
    columns = page.run(
        "new Set([...document.querySelectorAll('.card')].map(card => card.getBoundingClientRect().left)).size"
    )
    page.press("ArrowDown", "ArrowRight", "ArrowUp")
    assert page.run(ACTIVE) == 1
    page.press("ArrowDown")
    assert page.run(ACTIVE) == columns + 1
    page.press("End")
    assert page.run(ACTIVE) == 159
    inside = "(() => { const box = document.activeElement.getBoundingClientRect();"
    inside += " return box.top >= 0 && box.bottom <= innerHeight - 40; })()"
    assert page.run(inside)
    page.press("Home")
    assert page.run(ACTIVE) == 0
    assert page.run(inside)


def test_the_card_in_focus_stays_while_the_page_is_scrolled_away(page, book):
    open_page(page, book)
    page.press("ArrowRight")
    page.run("scrollTo(0, document.body.scrollHeight)")
    page.wait_for("document.querySelector('[data-item=\"159\"]')")
    assert page.run(ACTIVE) == 1
    page.press("a")
    assert page.run(ACTIVE) == 2


def test_filters_include_and_exclude(page, book):
    open_page(page, book)
    show_filters(page)
    found = "document.querySelector('#found').textContent"
    refused = open_value(page, "Status", "refused")
    page.click(refused)
    assert page.run(found) == "8 of 160 samples"
    assert page.run(f"document.querySelector({json.dumps(refused)}).dataset.state") == "include"
    page.click(refused)
    assert page.run(found) == "152 of 160 samples"
    page.click(refused)
    assert page.run(found) == "160 samples"
    page.click(open_value(page, "Reason", "violence"))
    assert page.run(found) == "8 of 160 samples"
    page.click("#clear-filters")
    page.click(open_value(page, "Model", "imagen-4.0"))
    assert page.run(found) == "80 of 160 samples"
    page.run("document.querySelector('.facet[aria-label=chapter]').scrollIntoView()")
    page.click(open_value(page, "chapter", "1 The River"))
    assert page.run(found) == "8 of 160 samples"


def test_search_finds_words_in_any_order_and_reports_when_nothing_matches(page, book):
    open_page(page, book)
    page.press("/")
    page.type("NUMBER 17 hedgehog")
    page.wait_for("document.querySelector('#found').textContent === '4 of 160 samples'")
    page.type(" unicorn")
    page.wait_for("!document.querySelector('#empty').hidden")
    page.press("Escape")
    page.click("#clear-filters")
    assert page.run("document.querySelector('#found').textContent") == "160 samples"


def test_caps_lock_and_other_alphabets_press_the_same_keys(page, book):
    open_page(page, book)
    for key, code in (("A", "KeyA"), ("\u043a", "KeyR"), ("\u0447", "KeyX")):
        page.run(
            "document.activeElement.dispatchEvent(new KeyboardEvent('keydown',"
            f" {{ key: {key!r}, code: {code!r}, bubbles: true, cancelable: true }}))"
        )
    assert decisions(page) == {"0": "approve", "1": "reject", "2": "redo"}


def test_very_long_prompts_cost_nothing_until_they_are_opened(page, tmp_path):
    items = [
        GalleryItem(row=row, sample=1, status="failed", prompt=f"{row} " + "word " * 30_000, key=key_of(row))
        for row in range(1, 40)
    ]
    with (tmp_path / "gallery.html").open("wb") as target:
        write_gallery(items, target, title="long", run="long")
    open_page(page, tmp_path)
    assert page.run("document.querySelector('#grid').outerHTML.length") < 200_000
    page.press(" ")
    assert page.run("document.querySelector('#viewer .passage p').textContent.length") == 150_002


def test_typing_in_a_field_marks_nothing(page, book):
    open_page(page, book)
    page.press("/")
    page.press(*"arxu")
    assert decisions(page) == {}


def test_the_full_view_opens_steps_marks_zooms_and_closes(page, book):
    open_page(page, book)
    page.press(" ")
    page.wait_for("document.querySelector('#viewer').open")
    page.wait_for("document.querySelector('#viewer img').naturalWidth === 96")
    assert "images/000001_01" in page.run("document.querySelector('#viewer .surface img').src")
    page.press("a")
    assert "sample 2 of 4" in page.run("document.querySelector('#viewer .place').textContent")
    page.press("+")
    assert "scale(1.4)" in page.run("document.querySelector('#viewer .surface img').style.transform")
    page.press("z")
    assert "scale(1)" in page.run("document.querySelector('#viewer .surface img').style.transform")
    page.press("ArrowRight", "u")
    assert "approved" not in page.run("document.querySelector('#viewer .decided').textContent")
    assert "sample 1 of 4" in page.run("document.querySelector('#viewer .place').textContent")
    page.press("ArrowRight", "ArrowRight", "ArrowRight", "ArrowRight", " ")
    page.wait_for("!document.querySelector('#viewer').open")
    assert page.run(ACTIVE) == 4
    assert page.complaints() == []


def test_a_double_click_opens_and_the_wheel_zooms_at_the_cursor(page, book):
    open_page(page, book)
    page.click('[data-item="4"]', times=2)
    page.wait_for("document.querySelector('#viewer').open && document.querySelector('#viewer img').naturalWidth")
    x, y = page.middle("#viewer .surface")
    page.send("Input.dispatchMouseEvent", type="mouseWheel", x=x + 40, y=y, deltaX=0, deltaY=-240)
    page.wait_for("document.querySelector('#viewer .surface').classList.contains('zoomed')")
    assert "translate(-" in page.run("document.querySelector('#viewer .surface img').style.transform")


def test_two_images_are_compared_and_zoom_together(page, book):
    open_page(page, book)
    page.click('[data-item="1"]')
    page.click('[data-item="3"]', modifiers=CTRL)
    page.press("c")
    page.wait_for("document.querySelector('#compare').open")
    captions = "[...document.querySelectorAll('.side-caption b')].map(each => each.textContent)"
    assert page.run(captions) == ["1 scene-1 · 2", "1 scene-1 · 4"]
    page.wait_for("[...document.querySelectorAll('#compare img')].every(image => image.naturalWidth)")
    page.press("+")
    scales = "[...document.querySelectorAll('#compare img')].map(image => image.style.transform)"
    assert len(set(page.run(scales))) == 1
    assert "scale(1.4)" in page.run(scales)[0]
    page.press("a", "ArrowRight", "r", "Escape")
    page.wait_for("!document.querySelector('#compare').open")
    assert decisions(page) == {"1": "approve", "3": "reject"}


def test_an_edited_prompt_is_exported_for_the_redo(page, book, tmp_path):
    open_page(page, book)
    page.press("ArrowRight", "e")
    page.wait_for("document.querySelector('#dialog').open")
    assert page.run("document.querySelector('#edit-prompt').value") == "A hedgehog with lantern number 1"
    page.type(', at night, "blue"\nand 霧')
    page.click("#edit-seed")
    page.type("99")
    page.click("#edit-note")
    page.type("=too dark; really")
    page.click("#edit-save")
    assert page.run(ACTIVE) == 2
    assert page.run("document.querySelector('[data-item=\"1\"] .mark').textContent") == "redo, edited"
    page.press("a")
    redo, approved = export_review(page, tmp_path)
    assert (redo.row, redo.id, redo.sample, redo.version, redo.key) == (1, "scene-1", 2, 1, key_of(1))
    assert (redo.decision, redo.seed, redo.note) == ("redo", 99, "=too dark; really")
    assert redo.prompt == 'A hedgehog with lantern number 1, at night, "blue"\nand 霧'
    assert (approved.sample, approved.decision, approved.prompt) == (3, "approve", None)


def test_a_wrong_seed_is_refused_and_escape_changes_nothing(page, book):
    open_page(page, book)
    page.press("e")
    page.click("#edit-seed")
    page.type("4294967296")
    page.click("#edit-save")
    assert "whole number" in page.run("document.querySelector('#dialog .wrong').textContent")
    page.press("Escape")
    assert decisions(page) == {}
    assert page.run(ACTIVE) == 0


def test_an_edit_later_approved_is_not_exported_as_a_prompt(page, book, tmp_path):
    open_page(page, book)
    page.press("e")
    page.type(" more")
    page.press("Enter", modifiers=CTRL)
    page.press("ArrowLeft", "a")
    (approved,) = export_review(page, tmp_path)
    assert (approved.decision, approved.prompt) == ("approve", None)


def test_decisions_survive_a_reload_and_a_rebuilt_page(page, book):
    open_page(page, book)
    page.press("a", "r")
    open_page(page, book)
    assert decisions(page) == {"0": "approve", "1": "reject"}
    build_gallery(book)
    open_page(page, book)
    assert decisions(page) == {"0": "approve", "1": "reject"}
    page.press("Home", "Delete")
    open_page(page, book)
    assert decisions(page) == {"1": "reject"}


def test_two_tabs_of_the_same_run_see_each_others_marks(chromium, page, book):
    open_page(page, book)
    with chromium.page(context=page.context) as other:
        open_page(other, book)
        other.press("a")
        page.wait_for("document.querySelector('[data-item=\"0\"]').dataset.decision === 'approve'")
        page.press("ArrowRight", "r")
        other.wait_for("document.querySelector('[data-item=\"1\"]').dataset.decision === 'reject'")
    open_page(page, book)
    assert decisions(page) == {"0": "approve", "1": "reject"}


def test_without_storage_marks_are_kept_until_the_page_is_left_which_warns(page, book):
    page.send(
        "Page.addScriptToEvaluateOnNewDocument",
        source="Object.defineProperty(window, 'localStorage', { get() { throw new Error('blocked'); } });",
    )
    open_page(page, book)
    assert "keeps no data" in page.run("document.querySelector('#warning').textContent")
    page.press("a")
    assert decisions(page) == {"0": "approve"}
    assert page.run(
        "(() => { const leave = new Event('beforeunload', { cancelable: true });"
        " window.dispatchEvent(leave); return leave.defaultPrevented; })()"
    )
    page.run("void 0")


def test_a_newer_decision_of_the_run_replaces_the_browsers(page, tmp_path):
    folder = run_folder(tmp_path / "run", rows=2)
    build_gallery(folder)
    open_page(page, folder)
    page.press("a", "a")
    (folder / "review.csv").write_text("row,sample,decision\n1,1,reject\n")
    build_gallery(folder)
    open_page(page, folder)
    assert decisions(page) == {"0": "reject", "1": "approve"}


def test_a_review_is_imported_with_its_problems_and_undone_as_one_step(page, book, tmp_path):
    review = tmp_path / "edited.csv"
    review.write_bytes(
        "sep=;\r\nNote;decision;row;sample;key;prompt\r\n"
        f"schön;redo;1;2;{key_of(1)};a b\r\n"
        ';approved;2.0;1;;\r\n"two\r\nlines";reject;3;1;;\r\n;maybe;4;1;;\r\n;approve;99;1;;\r\n'.encode("cp1252")
    )
    open_page(page, book)
    page.choose_file("#file", review)
    page.wait_for("document.querySelector('#dialog').open")
    said = page.run("document.querySelector('#dialog').textContent")
    assert "3 lines read, 3 images changed" in said
    assert 'line 7: "maybe" is not a decision' in said
    assert "line 8: row 99, sample 1 is not an image of this page" in said
    page.press("Escape")
    assert decisions(page) == {"1": "redo", "4": "approve", "8": "reject"}
    redo, _, rejected = export_review(page, tmp_path)
    assert (redo.note, redo.prompt, rejected.note) == ("schön", "a b", "two\r\nlines")
    page.press("u")
    assert decisions(page) == {}


NASTY = (
    'quotes "inside" and ""double""', "=1+1", "'=quoted", "''@x", "-", "+1;2,3\tx", "line\nbreak", "line\r\nbreak",
    "\rreturn", " spaces ", '"', '""', "\u2028 \u202e \ufeff", "\U0001f994 \u9727", ",;", "a\\b", "'",
    "row,id,sample",
)  # fmt: skip


def test_the_page_and_the_reader_agree_on_every_text(page, book, tmp_path):
    decisions = [
        Decision(
            row=row,
            id=f"scene-{row}",
            sample=1,
            version=1,
            key=key_of(row),
            decision="redo",
            prompt=text,
            seed=row,
            note=text[::-1],
        )
        for row, text in enumerate(NASTY, 1)
    ]
    path = tmp_path / "review.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        write_review(decisions, file)
    open_page(page, book)
    page.choose_file("#file", path)
    page.wait_for("document.querySelector('#dialog').open")
    assert f"{len(NASTY)} lines read" in page.run("document.querySelector('#dialog').textContent")
    page.press("Escape")
    assert [replace(each, line=None) for each in export_review(page, tmp_path)] == decisions


def test_hostile_prompts_do_nothing(page, tmp_path):
    folder = tmp_path / "run"
    (folder / "images").mkdir(parents=True)
    (folder / "images/a b#?%.png").write_bytes(image_bytes(1))
    items = [
        GalleryItem(
            row=row,
            id=text,
            sample=1,
            status="ok" if row % 2 else "filtered",
            file="images/a b#?%.png" if row % 2 else None,
            key=key_of(row),
            prompt=text,
            input_prompt=text * 2,
            model=text,
            reason=text,
            category=text,
            warnings=(text,),
            note=text,
            user={"__proto__": text, "constructor": text, text: text},
            earlier=(EarlierVersion(version=1, status=text, prompt=text, reason=text, note=text),),
        )
        for row, text in enumerate(HOSTILE, 1)
    ]
    with (folder / "gallery.html").open("wb") as target:
        write_gallery(items, target, title=HOSTILE[0] + HOSTILE[2], run='x"</script>')
    open_page(page, folder)
    assert page.run("document.querySelector('#title').textContent") == HOSTILE[0] + HOSTILE[2]
    for text in HOSTILE:
        page.press(" ")
        said = page.run(
            "[...document.querySelectorAll('#viewer .passage p')].map(each => each.textContent.toWellFormed())"
        )
        assert text.replace("\ud800", "\ufffd") in said
        page.press("n")
        page.press("Escape")
        page.press(" ")
        page.press("r")
    page.press("/")
    page.type("<script>")
    page.wait_for("document.querySelector('#found').textContent.startsWith('2 of')")
    page.click("#export")
    assert page.run("document.querySelector('#review-text').value").count("\nreject") == 0
    assert page.run("window.attacked === undefined")
    assert page.run("document.querySelectorAll('script').length") == 2
    assert page.run("document.querySelectorAll('svg, iframe, object, embed').length") == 0
    assert page.complaints() == []
    assert all(url.startswith(folder.as_uri()) or url == "data:," for url in page.requested())


def test_the_policy_stops_a_script_that_got_in(page, book):
    open_page(page, book)
    page.run("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.attacked = 1\">')")
    page.run(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.attacked = 1'}))"
    )
    page.run("new Promise(done => setTimeout(done, 100))")
    assert page.run("window.attacked === undefined")


def test_an_image_that_is_gone_shows_a_placeholder(page, tmp_path):
    folder = run_folder(tmp_path / "run", rows=2)
    build_gallery(folder)
    for path in [*folder.glob("images/000001_01*"), *folder.glob(".imagen-batch/thumbs/*/*")]:
        path.unlink()
    open_page(page, folder)
    page.wait_for("document.querySelector('[data-item=\"0\"] .missing')")
    assert "No image file" in page.run("document.querySelector('[data-item=\"0\"]').textContent")
    page.wait_for(
        "document.querySelector('[data-item=\"1\"] img').naturalWidth === 96"
    )  # the original, not a thumbnail


def test_earlier_versions_are_shown_in_the_full_view(page, tmp_path):
    folder = run_folder(tmp_path / "run", rows=1, samples=2)
    names = sorted(path.relative_to(folder).as_posix() for path in folder.glob("images/*"))
    earlier = EarlierVersion(version=1, status="ok", file=names[0], prompt="the first try", decision="redo")
    item = GalleryItem(
        row=1, sample=1, version=2, status="ok", file=names[1], prompt="the second", key=key_of(1), earlier=(earlier,)
    )
    with (folder / "gallery.html").open("wb") as target:
        write_gallery([item], target, title="versions", run="r")
    open_page(page, folder)
    assert "v2" in page.run("document.querySelector('.caption').textContent")
    page.press(" ")
    page.click(".history .version")
    page.wait_for(f"document.querySelector('#viewer .surface img').src.endsWith({names[0]!r})")
    assert "the first try" in page.run("document.querySelector('.facts').textContent")
    assert "version 1 (earlier)" in page.run("document.querySelector('.place').textContent")


def test_the_theme_is_switched_and_remembered(page, book):
    open_page(page, book)
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.run(ground)
    page.click("#theme")
    page.click("#theme")
    dark = page.run(ground)
    assert dark != light
    open_page(page, book)
    assert page.run(ground) == dark


def test_help_lists_the_keys_and_closes(page, book):
    open_page(page, book)
    page.press("?", modifiers=SHIFT)
    assert "approve" in page.run("document.querySelector('#dialog').textContent")
    page.press("Escape")
    page.wait_for("!document.querySelector('#dialog').open")
    assert page.run(ACTIVE) == 0


def test_on_a_phone_a_tap_opens_a_swipe_turns_and_nothing_is_wider_than_the_screen(page, book):
    page.screen(390, 844, phone=True)
    open_page(page, book)
    assert page.run("document.documentElement.scrollWidth") == 390
    small = page.run(
        "[...document.querySelectorAll('.bar button, .marks button')].filter(each => each.offsetParent)"
        ".map(each => each.getBoundingClientRect()).filter(box => box.height < 44).length"
    )
    assert small == 0
    page.touch(page.middle('[data-item="1"]'))
    page.wait_for("document.querySelector('#viewer').open")
    page.wait_for("document.querySelector('#viewer img').naturalWidth")
    x, y = page.middle("#viewer .surface")
    page.touch((x + 100, y), (x + 20, y + 5), (x - 60, y + 5))
    page.wait_for("document.querySelector('#viewer .place').textContent.includes('sample 3')")
    page.click('#viewer [data-action="reject"]')
    page.wait_for("document.querySelector('#viewer .place').textContent.includes('sample 4')")
    page.press("Escape")
    assert decisions(page) == {"2": "reject"}


def test_on_a_phone_a_long_press_selects_and_taps_add(page, book):
    page.screen(390, 844, phone=True)
    open_page(page, book)
    x, y = page.middle('[data-item="1"]')
    page.send("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
    page.wait_for("document.querySelectorAll('.card.selected').length === 1")
    page.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    page.touch(page.middle('[data-item="0"]'))
    page.wait_for("document.querySelectorAll('.card.selected').length === 2")
    page.touch(page.middle('.marks [data-action="approve"]'))
    page.wait_for("document.querySelector('[data-item=\"0\"]').dataset.decision")
    assert decisions(page) == {"0": "approve", "1": "approve"}


def test_two_fingers_zoom_the_full_view(page, book):
    page.screen(390, 844, phone=True)
    open_page(page, book)
    page.press(" ")
    page.wait_for("document.querySelector('#viewer img').naturalWidth")
    x, y = page.middle("#viewer .surface")
    for kind, spread in (("touchStart", 20), ("touchMove", 40), ("touchMove", 80)):
        points = [{"x": x - spread, "y": y, "id": 0}, {"x": x + spread, "y": y, "id": 1}]
        page.send("Input.dispatchTouchEvent", type=kind, touchPoints=points)
    page.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    page.wait_for("/scale\\((3\\.9|4)/.test(document.querySelector('#viewer .surface img').style.transform)")
    assert "sample 1" in page.run("document.querySelector('#viewer .place').textContent")
