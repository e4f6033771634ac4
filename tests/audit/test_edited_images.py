"""A repair brings the tables in line with an image that the user edited, so that exports accept it."""

import pytest
from PIL import Image

from imagen_batch.audit.audit import audit
from imagen_batch.audit.repair import repair
from imagen_batch.errors import SettingsInvalid
from imagen_batch.exports.export import export
from tests.support.runs import prompts, run


def test_the_repair_that_an_export_of_an_edited_image_suggests_helps(tmp_path, sim):
    """The image is kept, nothing is sent, and the table describes the edited file."""
    ran = run(prompts(tmp_path, "a mole", "a rat"), sim)
    image = ran.folder / ran.rows[0]["file"]
    with Image.open(image) as picture:
        picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(image)
    edited = image.read_bytes()
    with pytest.raises(SettingsInvalid, match=r"audit .* --repair"):
        export(ran.folder, to="parquet", out=tmp_path / "e")
    sent = len(sim.requests)
    assert repair(ran.folder).samples_to_remake == ()
    assert (image.read_bytes(), len(sim.requests)) == (edited, sent)
    export(ran.folder, to="parquet", out=tmp_path / "e")
    assert [finding.kind for finding in audit(ran.folder).findings] == ["edited"]
