"""The messages of a run to its own server at the end. A run that sends none was killed."""

STOP, RECORD = b"stop\n", b"record\n"

ACCEPTED = b"accepted\n"
"""The reply to RECORD."""
