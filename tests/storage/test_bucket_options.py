"""Listings of a bucket are never cached, since other machines write there, too."""

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from imagen_batch.storage import open_storage


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("s3://bucket/run", {"use_listings_cache": False}),
        ("s3a://bucket/run", {"use_listings_cache": False}),
        ("gs://bucket/run", {"use_listings_cache": False}),
        ("gcs://bucket/run", {"use_listings_cache": False}),
        ("az://bucket/run", {"use_listings_cache": False}),
        ("abfs://bucket/run", {"use_listings_cache": False}),
        ("abfss://bucket/run", {"use_listings_cache": False}),
        ("memory://bucket/run", {}),
    ],
)
def test_the_listing_cache_is_off_for_every_scheme_that_has_one(monkeypatch, url, options):
    """The memory file system has no cache and takes no such option."""
    options_seen = []

    def url_to_fs(address, **chosen):
        options_seen.append((address, chosen))
        return MemoryFileSystem(), "/bucket/run"

    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setattr("fsspec.url_to_fs", url_to_fs)
    open_storage(url)
    assert options_seen == [(url, options)]
