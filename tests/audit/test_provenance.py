"""`audit --provenance` says of each image whether its C2PA data is valid, untrusted, altered or absent."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from imagen_batch.audit.audit import audit
from imagen_batch.audit.provenance.verify import Verdict, make_verifier
from imagen_batch.audit.provenance.verify_run import check_provenance, provenance_facts, provenance_text
from imagen_batch.errors import SettingsInvalid
from imagen_batch.images.validate import validate
from imagen_batch.simulator import Simulator
from tests.exports.runs import draw_image
from tests.support.runs import prompts, run
from tests.support.shell import Shell


def test_without_the_extra_a_message_names_the_package_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no traceback, and no partial check."""
    monkeypatch.setitem(sys.modules, "c2pa", None)
    with pytest.raises(SettingsInvalid, match=r"--provenance needs: pip install 'imagen-batch\[c2pa\]'"):
        make_verifier()


@pytest.fixture
def authority():
    """Return an authority that signs images; its root is not trusted by default."""
    pytest.importorskip("c2pa", reason="belongs to the extra `c2pa`")
    pytest.importorskip("cryptography", reason="belongs to the extra `exports-test`")
    from tests.support.signing import make_authority  # noqa: PLC0415 - needs both extras

    return make_authority()


@pytest.mark.parametrize(
    ("form", "mime_type"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")]
)
def test_each_state_of_an_image(authority, form: str, mime_type: str) -> None:
    """They are signed with a known and an unknown root, changed in pixels and in the manifest, and unsigned."""
    plain = draw_image(1, form=form)
    signed = authority.sign(plain, mime_type)
    assert validate(signed).c2pa
    assert make_verifier(authority.root)(signed, mime_type) == Verdict("valid", "Test Imaging")
    untrusted = make_verifier()(signed, mime_type)
    assert (untrusted.state, untrusted.signer) == ("untrusted", "Test Imaging")
    assert make_verifier()(plain, mime_type) == Verdict("none")
    pixels = bytearray(signed)
    pixels[plain_position(plain, signed)] ^= 1
    assert make_verifier(authority.root)(bytes(pixels), mime_type).state == "altered"
    manifest = bytearray(signed)
    manifest[signed.index(b"c2pa.signature") + 40] ^= 1
    assert make_verifier(authority.root)(bytes(manifest), mime_type).state == "altered"


def plain_position(plain: bytes, signed: bytes) -> int:
    """Return a position in `signed` of a byte of the image data."""
    return signed.index(plain[-40:-20]) + 5


def test_another_root_is_not_trusted(authority) -> None:
    """Only the certificates of the user decide."""
    from tests.support.signing import make_authority  # noqa: PLC0415

    signed = authority.sign(draw_image(1))
    assert make_verifier(make_authority("Somebody Else").root)(signed, "image/png").state == "untrusted"


def test_hostile_files_are_a_verdict_and_no_exception(authority) -> None:
    """They are truncated anywhere, empty, text, or of a type without C2PA data."""
    signed, verify = authority.sign(draw_image(1)), make_verifier()
    for size in range(0, len(signed), 997):
        assert verify(signed[:size], "image/png").state in {"altered", "none", "unreadable"}
    assert verify(b"not an image", "image/bmp").state == "unreadable"
    assert verify(b"", "image/png").state in {"none", "unreadable", "altered"}


@pytest.fixture
def finished(authority, tmp_path: Path):
    """Return the home of a run of four images: signed, altered after signing, stripped of its data, never signed."""
    with Simulator() as sim:
        done = run(prompts(tmp_path, "a mole", "a rat", "a toad", "a badger"), sim)
    signed = [authority.sign(draw_image(seed)) for seed in range(4)]
    altered = bytearray(signed[1])
    altered[plain_position(draw_image(1), signed[1])] ^= 1
    files = [done.folder / row["file"] for row in done.rows]
    for path, data in zip(files, [signed[0], bytes(altered), draw_image(2), draw_image(3)], strict=True):
        path.write_bytes(data)
    return done.folder


def test_the_report_has_a_sum_and_names_each_image(finished: Path, authority) -> None:
    """It has the number of each state, the signers, and the images with a problem; --json has all images."""
    provenance = check_provenance(finished, make_verifier(authority.root))
    assert provenance.counts == {"valid": 1, "untrusted": 0, "altered": 1, "none": 2, "unreadable": 0}
    text = provenance_text(provenance)
    assert "provenance of 4 images: 1 valid, 1 altered after signing, 2 no provenance data" in text
    assert "signed by: Test Imaging (2)" in text
    assert "row 2, sample 1: assertion.dataHash.mismatch" in text
    listed = provenance_facts(provenance)["images"]
    assert [image["state"] for image in listed] == ["valid", "altered", "none", "none"]
    assert json.dumps(listed)


def test_a_missing_file_is_reported_as_unreadable(finished: Path) -> None:
    """The audit itself reports it as missing, which the provenance does not hide."""
    next((finished / "images").iterdir()).unlink()
    assert check_provenance(finished, make_verifier()).counts["unreadable"] == 1


def test_the_command_ends_with_3_for_altered_images(finished: Path, authority, shell: Shell, tmp_path: Path) -> None:
    """The roots are read from a file; another file is refused with a message."""
    root = tmp_path / "roots.pem"
    root.write_text(authority.root)
    result = shell.run("audit", finished, "--provenance", "--trust-anchors", root)
    assert result.code == 3
    assert "1 valid, 1 altered after signing, 2 no provenance data" in result.out
    facts = shell.run("audit", finished, "--provenance", "--json").json
    assert facts["provenance"]["counts"]["untrusted"] == 1
    assert "provenance" not in shell.run("audit", finished, "--json").json
    missing = shell.run("audit", finished, "--provenance", "--trust-anchors", tmp_path / "nothing.pem")
    assert (missing.code, "No such file" in missing.err) == (2, True)
    root.write_text("no certificate")
    assert shell.run("audit", finished, "--provenance", "--trust-anchors", root).code == 2
    both = shell.run("audit", finished, "--provenance", "--repair")
    assert (both.code, "repair first" in both.err) == (2, True)
    assert not audit(finished).clean
