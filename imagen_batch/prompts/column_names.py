"""Defines the names of columns: their roles, and the names that may hide a secret."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

# Role -> the names of columns that have it; the first is the canonical one.
ALIASES: dict[str, tuple[str, ...]] = {
    "prompt": ("prompt", "prompts", "text", "positive", "image_prompt"),
    "id": ("id",),
    "filename": ("filename",),
    "model": ("model",),
    "samples": ("samples", "n", "count", "variants", "sample_count", "number_of_images"),
    "aspect_ratio": ("aspect_ratio", "aspect", "ratio"),
    "image_size": ("image_size", "resolution", "size"),
    "person_generation": ("person_generation",),
    "negative_prompt": ("negative_prompt",),
    "seed": ("seed",),
    "style": ("style",),
    "references": ("references", "reference_images", "ref_images"),
}
# A column of the user's own in which named shapes have a meaning; see planning/book_shapes.py.
SHAPE_COLUMN = "shape"
# The columns that our own failures.csv adds after the user's.
FAILURE_COLUMNS = ("status", "reason", "http_status", "attempts")
# The column of a failures.csv that identifies the row of the run's input; see reports/tables/failures.py.
MARK_COLUMN = "imagen_batch_row"
# The last column of a failures.csv, which is for people.
ADVICE_COLUMN = "imagen_batch_advice"

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_GAP = re.compile(r"[-\s_]+")
_SECRET = re.compile(
    r"(?:^|_)(?:passwords?|passwd|pwd|passphrase|secrets?|credentials?|bearer|authorization"
    r"|(?:api|access|private|auth|account|service|subscription)_?keys?"
    r"|[a-z]*token$)(?:_|$)"
)


def fold(name: str) -> str:
    """Return the name in one spelling: `aspectRatio`, `Aspect Ratio` and `aspect-ratio` become `aspect_ratio`.

    Full-width and decomposed letters become ordinary ones; invisible characters are removed.
    """
    if not name.isascii():
        name = "".join(
            letter for letter in unicodedata.normalize("NFKC", name) if unicodedata.category(letter) != "Cf"
        )
    return _GAP.sub("_", _HUMP.sub("_", name.strip())).strip("_").lower()


def compose(name: str) -> str:
    """Return the name with each letter as one character (NFC): names that look the same become equal."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


@lru_cache(maxsize=4096)
def looks_secret(name: str) -> bool:
    """Return whether a column of this name may contain a key or password: `apiKey`, `hf_token`; not `tokens_used`."""
    return any(_SECRET.search(folded) for folded in (fold(name), fold(name.lower())))
