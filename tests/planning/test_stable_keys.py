"""Tests that keys never change: they identify paid images in folders of earlier versions."""

from imagen_batch.planning.keys import RowKeys, request_key
from imagen_batch.records import Options

FIRST = "a9b52597929452c6cd3bd4d2de538c5d92d159ab5647c0eb0f49b38f0a6ab06a"
SECOND = "a9a9779e34664d56f96a2f06d668b57935f035cf8c8616bd2310deab095b09ec"
WITH_OPTIONS = "4c722692034e26404d30f218c2be094c787fa3a3d3cad44d462e628626915b0c"


def test_the_key_of_a_row_is_that_of_earlier_versions():
    """This holds for the first occurrence, the second one, and a row with options."""
    row_keys = RowKeys("gemini")
    keys = [row_keys.row_key(model="m", prompt="p", options=Options()) for _ in range(2)]
    keys.append(row_keys.row_key(model="m", prompt="p", options=Options(seed=3, aspect_ratio="16:9")))
    assert keys == [FIRST, SECOND, WITH_OPTIONS]


def test_the_key_of_a_request_is_that_of_earlier_versions():
    """It is made from the row's key and the range of samples."""
    assert request_key(FIRST, 1, 4) == "cd9de360c9b97f390695e711b9d16d65f21b992623c54a24868b1c178bf2d114"
