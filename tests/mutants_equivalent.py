"""Lists the mutants that change nothing a test could observe, each with the reason."""

from __future__ import annotations

EQUIVALENT: dict[str, str] = {
    "ledger/record_lookup.py RecordLookup._line: 1 -> 2": "any negative number means that the line is not there",
}
"""Name of the mutant, as `tests.mutants --list` prints it without the line -> why it changes nothing."""
