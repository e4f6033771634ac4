"""Where does a run live: in a folder of this machine, or in a bucket?

Everything that touches a run's files goes through one contract, `Storage`. Names are paths below the run with "/"
between their segments.

    folder.py   a folder: flock, fsync, hard links
    bucket.py   an object store through fsspec: s3://, gs://, az://
"""

from imagen_batch.storage.base import LEDGER, SET_ASIDE, STATE, Log, Storage, written_text
from imagen_batch.storage.folder import Folder
from imagen_batch.storage.open import check_place, in_reach, is_url, open_storage

__all__ = [
    "LEDGER",
    "SET_ASIDE",
    "STATE",
    "Folder",
    "Log",
    "Storage",
    "check_place",
    "in_reach",
    "is_url",
    "open_storage",
    "written_text",
]
