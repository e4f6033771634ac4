"""Turns the rows of a prompt file into the rows that are planned: templates, style presets, characters.

A pure stream: `Expansion.rows` takes rows and yields rows. All later stages see ordinary rows.
"""

from imagen_batch.expansion.load_expansion import Expansion, load_expansion

__all__ = ["Expansion", "load_expansion"]
