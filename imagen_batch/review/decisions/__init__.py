"""Decisions about images: how they are named, compared, recorded and listed, and what they ask of a run."""
