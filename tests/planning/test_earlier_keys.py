"""Tests that rows keep the key of an earlier version if the ledger has records under it."""

from imagen_batch.planning.compact_row_index import RowIndex

KEYS = {name: f"{name}{name}" * 32 for name in "abcdef"}


class FakeHistory:
    """A history that has some samples of some row keys."""

    def __init__(self, *known):
        self.known = set(known)

    def status(self, base, number):
        return "ok" if (base, number) in self.known else None


def _index(*rows):
    index = RowIndex()
    for base, samples, earlier in rows:
        index.add(KEYS[base], samples, per_request=1, price=None, earlier=KEYS[earlier] if earlier else None)
    return index


def test_rows_with_two_keys_are_listed_until_they_have_their_earlier_one():
    """The first and the third row have one key, the second has two."""
    index = _index(("a", 1, None), ("b", 2, "c"), ("d", 1, None))
    assert list(index.earlier_keys()) == [(2, KEYS["b"], KEYS["c"], 2)]
    index.adopt_earlier_keys(FakeHistory((KEYS["c"], 2)))
    assert list(index) == [(KEYS["a"], 1), (KEYS["c"], 2), (KEYS["d"], 1)]
    assert [index.uses_earlier_key(row) for row in (1, 2, 3)] == [False, True, False]
    assert list(index.earlier_keys()) == []


def test_a_row_without_records_has_its_new_key():
    """Sample numbers beyond those of the row do not count."""
    index = _index(("b", 2, "c"))
    index.adopt_earlier_keys(FakeHistory((KEYS["c"], 3), (KEYS["c"], 0)))
    assert list(index) == [(KEYS["b"], 2)]


def test_a_row_with_results_under_both_keys_keeps_the_new_one():
    """Its new text has already been sent."""
    for number in (1, 2):
        index = _index(("b", 2, "c"))
        index.adopt_earlier_keys(FakeHistory((KEYS["c"], 1), (KEYS["b"], number)))
        assert list(index) == [(KEYS["b"], 2)]


def test_a_new_key_that_was_the_earlier_key_of_another_row_belongs_to_that_row():
    """Both rows keep their earlier keys."""
    index = _index(("b", 1, "c"), ("c", 1, "d"))
    index.adopt_earlier_keys(FakeHistory((KEYS["c"], 1), (KEYS["d"], 1)))
    assert list(index) == [(KEYS["c"], 1), (KEYS["d"], 1)]


def test_a_history_is_searched_once_unless_it_has_grown():
    """A refresh searches it again."""
    index, history = _index(("b", 1, "c")), FakeHistory()
    index.adopt_earlier_keys(history)
    history.known.add((KEYS["c"], 1))
    index.adopt_earlier_keys(history)
    assert not index.uses_earlier_key(1)
    index.adopt_earlier_keys(history, refresh=True)
    assert index.uses_earlier_key(1)
