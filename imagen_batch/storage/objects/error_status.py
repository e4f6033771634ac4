"""Finds the HTTP status behind the errors of the stores' libraries.

Stores with an S3 interface differ in the details of an error: AWS names the condition that was not met, others only
send 412. The libraries understand the details of the large stores; the status is the same everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

PRECONDITION_FAILED: Final = 412
CONFLICT: Final = 409
_NO_ACCESS: Final = (401, 403)
_NO_CREDENTIALS: Final = {
    "NoCredentialsError",  # botocore
    "PartialCredentialsError",
    "ProfileNotFound",
    "DefaultCredentialsError",  # google-auth
    "ClientAuthenticationError",  # azure
}

_MAX_DEPTH = 10


def http_status(error: BaseException) -> int | None:
    """Return the status behind `error`; None where no store answered."""
    for cause in _causes(error):
        if (status := _status(cause)) is not None:
            return status
    return None


def is_taken(error: BaseException) -> bool:
    """Whether a conditional write was refused because the name is taken."""
    return isinstance(error, FileExistsError) or http_status(error) == PRECONDITION_FAILED


def is_conflict(error: BaseException) -> bool:
    """Whether another write to the same name was in progress, so that the current object must be checked."""
    return http_status(error) == CONFLICT


def is_no_access(error: BaseException) -> bool:
    """Whether waiting can't help, because the store denies access or there are no credentials."""
    if http_status(error) in _NO_ACCESS:
        return True
    causes = list(_causes(error))
    return any(type(cause).__name__ in _NO_CREDENTIALS or str(cause).startswith("Forbidden:") for cause in causes)


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    for _ in range(_MAX_DEPTH):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__ or cause.__context__


def _status(error: BaseException) -> int | None:
    response: Any = getattr(error, "response", None)  # botocore
    if isinstance(response, dict):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return status if isinstance(status, int) else None
    for name in ("status_code", "code"):  # azure, gcsfs
        status = getattr(error, name, None)
        if isinstance(status, int) and 100 <= status < 600:
            return status
    return None
