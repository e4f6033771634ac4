"""Decides which further samples and versions a run makes: replacements, redone images and larger ones."""
