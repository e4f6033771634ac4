"""Lists the mutants that change nothing a test could observe, each with the reason."""

from __future__ import annotations

EQUIVALENT: dict[str, str] = {
    "ledger/damage.py is_skipped: 20 -> 21": "the mark is at the beginning of a line; the number only saves time",
    "ledger/damage.py is_skipped: if _SKIP_MARK not in text[:20]: -> if False:": "only saves parsing each line",
    "ledger/folds/charge_totals.py kind_of: provider == 'simulator' -> provider != 'simulator'": (
        "exchanges two names that are compared with each other only"
    ),
    "ledger/folds/sample_states.py SampleStates.fail: 0 -> 1": "neither number is greater than one",
    "ledger/folds/sample_states.py SampleStates.sole_image_positions: if not kept and (not besides): -> if False:": (
        "only saves marking each sample"
    ),
    "ledger/folds/sample_states.py slot_of: 4 -> 5": "a longer key of the same sample, in memory only",
    "ledger/record_lookup.py RecordLookup.__init__: 0 -> 1": "an empty block holds no record, wherever it begins",
    "ledger/record_lookup.py RecordLookup._line: 0 <= start < len(block) -> 0 < start < len(block)": (
        "a record at the beginning of the block is read again"
    ),
    "ledger/record_lookup.py RecordLookup._line: 0 -> 1": "a record at the beginning of the block is read again",
    "ledger/record_lookup.py RecordLookup.kept: 0 -> 1": "no file of a ledger begins with moves",
    "ledger/record_lookup.py RecordLookup._line: 1 -> 2": "any negative number means that the line is not there",
    "ledger/reviews.py Reviews.move: True -> False": "both lists have one entry for each moved sample",
    "ledger/reviews.py Reviews.move: if not self._samples: -> if False:": "only saves looking at each move",
    "ledger/writer.py LedgerWriter._append: 1 -> 2": "a record's position is compared with that of others only",
    "ledger/writer.py LedgerWriter.__init__: 0 -> 1": "a record's position is compared with that of others only",
    "planning/pending/count.py _read_history: 0 -> 1": "the position of a decision is not stored",
    "planning/pending/count.py _read_history: 0 -> 1 (2)": "the position of an ordered version is not stored",
    "planning/pending/find_pending.py _samples_without_file: 1 -> 2 (2)": "no row has such a sample",
    "planning/requests_and_shards.py _ranges: 0 -> 1": "the first number replaces it before it is used",
    "planning/references/row_links.py link_rows: len(other_ids) < _MAX_SUGGESTED_IDS -> "
    "len(other_ids) <= _MAX_SUGGESTED_IDS": "one more id that may be suggested, of ten thousand",
    "planning/resolve_rows.py RowPlanner._name: planned.samples > 1 -> planned.samples >= 1": "the name is the same",
    "planning/resolve_rows.py RowPlanner._resolve_row: len(self._resolved) >= _MAX_RESOLVED -> "
    "len(self._resolved) > _MAX_RESOLVED": "one more entry of a cache",
    "planning/samples/further_versions.py _wanted_versions: "
    "if not reviews or not (settings.redo or settings.upgrade): -> if False:": "only saves looking at each row",
    "planning/samples/further_versions.py _wanted_versions: not reviews or not (settings.redo or settings.upgrade) "
    "-> not reviews and (not (settings.redo or settings.upgrade))": "only saves looking at each row",
    "planning/samples/further_versions.py order_versions: if row >= last: -> if False:": "only saves reading more",
    "planning/samples/further_versions.py order_versions: row >= last -> row > last": "only saves reading the rest",
    "sending/attempts/check_reply.py check_reply: True -> False": "the reader returns an entry for each sample",
    "sending/pacing/pace.py Pace._pause: 10 -> 11": "both powers are beyond the longest pause",
    "sending/pacing/pace.py Pace.__init__: False -> True": "before the first refusal the rate is given or unknown",
    "sending/period/reservation_files.py read_held: True -> False": "a missing file is no error there anyway",
    "sending/read_references.py _content: 1 -> 2": "another size means other content, which is refused",
}
"""Name of the mutant, as `tests.mutants --list` prints it without the line -> why it changes nothing."""
