"""Measures precision and recall of near-duplicates on a labeled set of drawn images.

    python -m benchmarks.accuracy.near_duplicates [IMAGES=60]

The set (tests/exports/lookalikes.py) has IMAGES images of each of three kinds, fourteen variants of each with known
edits, and four images of each of IMAGES prompts, which are different images. A pair is right if it is an image and
its variant.
"""

from __future__ import annotations

import sys

from benchmarks.support.figures import Figure, at_least, report_and_exit
from imagen_batch.exports.options import Options
from tests.exports.lookalikes import Measured, measure

LIMITS = (12, 16, 20, 22, 24, 28)


def main() -> None:
    """Print both for several limits, and each variant's recall at the default one."""
    measured = measure(range(int(sys.argv[1]) if len(sys.argv) > 1 else 60))
    limit = Options().near
    figures = [_figure(measured, each) for each in LIMITS]
    figures += [
        Figure(f"recall of {name}", f"{sum(bits <= limit for bits in found) / len(found):.3f}")
        for name, found in measured.variants.items()
    ]
    figures.append(at_least(f"precision at {limit} bits", measured.precision(limit), 0.999))
    figures.append(at_least(f"recall at {limit} bits", measured.recall(limit), 0.88))
    report_and_exit(figures)


def _figure(measured: Measured, limit: int) -> Figure:
    wrong = sum(bits <= limit for bits in measured.different)
    takes = sum(bits <= limit for bits in measured.takes)
    figure = (
        f"precision {measured.precision(limit):.4f}, recall {measured.recall(limit):.3f}; wrong: {wrong} of "
        f"{len(measured.different):,} pairs of different images, {takes} of {len(measured.takes):,} of one prompt"
    )
    return Figure(f"{limit} bits", figure)


if __name__ == "__main__":
    main()
