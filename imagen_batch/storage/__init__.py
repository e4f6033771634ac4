"""Stores a run's files, in a folder of this machine or in a bucket.

All access to a run's files goes through one interface, `Storage`. Names are paths below the run with "/" between
their segments.

    folder.py         a folder: flock, fsync, hard links
    object_store.py   an object store through fsspec: s3://, gs://, az://
"""

from imagen_batch.storage.folder import Folder
from imagen_batch.storage.interface import LEDGER, SET_ASIDE, STATE, Log, Storage
from imagen_batch.storage.open import check_location, explain_storage_errors, is_url, open_storage

__all__ = [
    "LEDGER",
    "SET_ASIDE",
    "STATE",
    "Folder",
    "Log",
    "Storage",
    "check_location",
    "explain_storage_errors",
    "is_url",
    "open_storage",
]
