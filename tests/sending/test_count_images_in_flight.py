"""Images in flight are counted over all threads, for exactly as long as they are in flight."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from imagen_batch.sending.count_images_in_flight import InFlight


def test_images_count_while_their_attempt_lasts():
    """Attempts overlap; each subtracts what it added."""
    in_flight = InFlight()
    with in_flight.hold(4):
        with in_flight.hold(1):
            assert in_flight.images == 5
        assert in_flight.images == 4
    assert in_flight.images == 0


def test_a_failed_attempt_is_not_in_flight():
    """The count goes down after an exception, too."""
    in_flight = InFlight()
    with pytest.raises(OSError, match="lost"), in_flight.hold(2):
        raise OSError("lost")
    assert in_flight.images == 0


def test_threads_lose_no_count():
    """Many attempts start and end at once."""
    in_flight = InFlight()

    def work(images):
        for _ in range(200):
            with in_flight.hold(images):
                assert in_flight.images >= images

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(1, 9)))
    assert in_flight.images == 0
