"""What does the name of a column say?"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

# Which names say which role; the first is the canonical one.
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
}
# What our own failures.csv adds behind the user's columns.
FAILURE_COLUMNS = ("status", "reason", "http_status", "attempts")
# The last of them, which says which row of the run's input a line is about; see failures.py.
MARK_COLUMN = "imagen_batch_row"

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_GAP = re.compile(r"[-\s_]+")
_SECRET = re.compile(
    r"(?:^|_)(?:passwords?|passwd|pwd|passphrase|secrets?|credentials?|bearer|authorization"
    r"|(?:api|access|private|auth|account|service|subscription)_?keys?"
    r"|[a-z]*token$)(?:_|$)"
)


def fold(name: str) -> str:
    """The name in one spelling: `aspectRatio`, `Aspect Ratio` and `aspect-ratio` are `aspect_ratio`.

    Letters that only look different (full-width ones, those composed of two) are the same; what is invisible is left
    out.
    """
    if not name.isascii():
        name = "".join(
            letter for letter in unicodedata.normalize("NFKC", name) if unicodedata.category(letter) != "Cf"
        )
    return _GAP.sub("_", _HUMP.sub("_", name.strip())).strip("_").lower()


def composed(name: str) -> str:
    """The name with each letter as one character: two names that are the same then can't be told apart by eye."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


@lru_cache(maxsize=4096)
def looks_secret(name: str) -> bool:
    """Whether a column of this name may hold a key or a password: `apiKey`, `hf_token`; not `tokens_used`."""
    return any(_SECRET.search(folded) for folded in (fold(name), fold(name.lower())))
