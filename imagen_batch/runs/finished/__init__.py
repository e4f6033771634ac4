"""Recognizes a finished run that would only be repeated."""
