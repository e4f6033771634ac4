"""Is the program that sends one message. It reads a JSON object from standard input and prints nothing.

Without a title the addresses are only read, and nothing is sent.

The exit code is 0, or 100 and the number of addresses that failed.
"""

from __future__ import annotations

import json
import logging
import os
import sys

_MOST = 100


def main() -> int:
    """Send the message on standard input and return the exit code."""
    import apprise  # noqa: PLC0415 - this process does nothing else

    logging.disable(logging.CRITICAL)  # apprise logs addresses
    job = json.load(sys.stdin)
    failed = 0
    for url in job["urls"]:
        service = apprise.Apprise()
        understood = service.add(url)
        if job["title"]:
            understood = understood and service.notify(title=job["title"], body=job["body"], body_format="text")
        failed += not understood
    return 100 + min(failed, _MOST) if failed else 0


if __name__ == "__main__":
    code = 1
    try:
        code = main()
    finally:
        os._exit(code)  # apprise may have left threads behind
