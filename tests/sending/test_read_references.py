"""Tests of how the bytes of reference images are read, checked and kept in memory."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from imagen_batch.errors import ReferenceUnusable
from imagen_batch.records import InputImage, Reference
from imagen_batch.sending.read_references import ReferenceLoader
from imagen_batch.storage import Folder


def _reference(path: Path, data: bytes) -> Reference:
    path.write_bytes(data)
    return Reference(path.name, "image/png", sha256(data).hexdigest(), len(data), path=str(path))


def _is_read_again(loader: ReferenceLoader, reference: Reference) -> bool:
    """Return whether a change of the file is noticed; the file is put back."""
    assert reference.path is not None
    path = Path(reference.path)
    before = path.read_bytes()
    path.write_bytes(b"?" * len(before))
    try:
        loader.load([reference], Folder(path.parent))
    except ReferenceUnusable:
        return True
    finally:
        path.write_bytes(before)
    return False


def _load(loader: ReferenceLoader, *references: Reference) -> list[bytes | None]:
    return [image.data for image in loader.load(references, Folder(Path()))]


def test_images_are_sent_in_their_order_and_an_address_as_it_is(tmp_path: Path) -> None:
    one, two = _reference(tmp_path / "1.png", b"one"), _reference(tmp_path / "2.png", b"two")
    address = Reference("gs://b/a.png", "image/png", uri="gs://b/a.png")
    images = ReferenceLoader().load([two, address, one, two], Folder(tmp_path))
    assert images == (
        InputImage("image/png", b"two"),
        InputImage("image/png", uri="gs://b/a.png"),
        InputImage("image/png", b"one"),
        InputImage("image/png", b"two"),
    )


def test_an_image_of_the_run_is_read_from_its_folder(tmp_path: Path) -> None:
    storage = Folder(tmp_path)
    storage.put("images/a.png", b"fox")
    reference = Reference("@fox", "image/png", sha256(b"fox").hexdigest(), 3, file="images/a.png")
    assert ReferenceLoader().load([reference], storage) == (InputImage("image/png", b"fox"),)
    (tmp_path / "images/a.png").unlink()
    with pytest.raises(ReferenceUnusable, match=r"@fox \(images/a.png\) was not sent: it can't be read"):
        ReferenceLoader().load([reference], storage)


@pytest.mark.parametrize("content", [b"owl", b"fo", b"foxes", b""])
def test_a_file_that_has_changed_since_the_plan_is_not_sent(tmp_path: Path, content: bytes) -> None:
    reference = _reference(tmp_path / "a.png", b"fox")
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ReferenceUnusable, match=r"a\.png was not sent: "):
        _load(ReferenceLoader(), reference)


def test_the_images_used_most_recently_stay_in_memory_up_to_the_limit(tmp_path: Path) -> None:
    one, two, three = (_reference(tmp_path / f"{name}.png", name.encode() * 4) for name in "abc")
    loader = ReferenceLoader(cache_bytes=8)
    _load(loader, one, two)
    assert not _is_read_again(loader, one), "both fill the memory exactly"
    _load(loader, one, three)
    assert [_is_read_again(loader, each) for each in (one, three, two)] == [False, False, True]


def test_an_image_beyond_the_limit_takes_no_place_of_others(tmp_path: Path) -> None:
    small, exact, large = (_reference(tmp_path / f"{size}.png", b"a" * size) for size in (4, 8, 9))
    loader = ReferenceLoader(cache_bytes=8)
    _load(loader, small, large, large)
    assert [_is_read_again(loader, each) for each in (small, large)] == [False, True]
    _load(loader, exact)
    assert [_is_read_again(loader, each) for each in (exact, small)] == [False, True]
