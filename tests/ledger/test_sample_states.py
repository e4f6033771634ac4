"""Tests of the state of each sample, and of the search for images that occur more than once."""

from __future__ import annotations

from imagen_batch.ledger.folds.sample_states import SampleStates, number_of, slot_of, slots_of
from imagen_batch.ledger.identical_images import ImageDigests
from imagen_batch.ledger.records import kept_record

BASES = [f"{number:02x}" * 32 for number in range(1, 5)]
SLOTS = [slot_of(base, 1) for base in BASES]


def _states() -> SampleStates:
    states = SampleStates()
    for position, slot in enumerate(SLOTS[:3], 10):
        states.finish(slot, "ok", position)
    return states


def test_the_record_of_an_image_decides_alone_unless_other_charges_or_an_edit_count_too() -> None:
    states = _states()
    assert states.sole_image_positions(SLOTS, besides=()) == [10, 11, 12, None]
    assert states.sole_image_positions(SLOTS, besides={SLOTS[1]}) == [10, None, 12, None]
    facts = {"prompt": "an earlier text", "model": "m", "dialect": "predict"}
    moves = [{"base": BASES[3], "from": BASES[0], "numbers": [1], **facts}]
    states.move(kept_record(moves), position=20)
    assert states.sole_image_positions(SLOTS, besides=()) == [10, 11, 12, None]
    assert states.sole_image_positions(SLOTS, besides={SLOTS[1]}) == [10, None, 12, None]
    assert states.kept(SLOTS[3]) == (20, 0)


def test_a_sample_without_an_image_has_no_position_of_one() -> None:
    states = SampleStates()
    states.finish(SLOTS[0], "failed", 10)
    assert states.sole_image_positions(SLOTS[:1], besides=()) == [None]


def _repeated(*digests: str) -> set[int]:
    """Return the positions of repeated images; positions count from 100."""
    images = ImageDigests()
    for position, digest in enumerate(digests, 100):
        images.add(digest.ljust(64, "0"), position=position)
    return set(images.find_repeated())


def test_every_record_of_a_repeated_image_is_found_and_no_other() -> None:
    assert _repeated() == _repeated("a") == _repeated("a", "b", "c") == set()
    assert _repeated("a", "a") == {100, 101}
    assert _repeated("b", "a", "c", "b", "d") == {100, 103}
    assert _repeated("a", "c", "a", "c", "a", "b") == {100, 101, 102, 103, 104}


def test_what_is_no_checksum_is_no_image() -> None:
    assert _repeated("no checksum", "no checksum", "a", "a") == {102, 103}


def test_slots_of_many_samples_are_those_of_each() -> None:
    numbers = [1, 2, 300, 70_000]
    slots = [slot_of(base, number) for base, number in zip(BASES, numbers, strict=True)]
    keys = b"".join(map(bytes.fromhex, BASES))
    assert slots_of(keys, range(len(BASES)), numbers) == slots
    assert slots_of(keys, [0, 0, 2], [1, 2, 3]) == [
        slot_of(BASES[at], number) for at, number in ((0, 1), (0, 2), (2, 3))
    ]
    many = slots_of(keys, [0, 2] * 1000, [1, 70_000] * 1000)
    assert many == [slot_of(BASES[0], 1), slot_of(BASES[2], 70_000)] * 1000
    assert [number_of(slot) for slot in slots] == numbers
    assert {len(slot) for slot in slots} == {16}
