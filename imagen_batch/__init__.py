"""A prompt file goes in; pictures, a manifest and a truthful summary come out."""

__version__ = "0.1.0"
