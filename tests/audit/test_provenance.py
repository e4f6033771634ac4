"""`audit --provenance` says of each image whether its C2PA data is valid, untrusted, altered or absent."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from imagen_batch.audit.audit import audit
from imagen_batch.audit.provenance.report import check_provenance, provenance_facts, provenance_text
from imagen_batch.audit.provenance.verify import Verdict, make_verifier
from imagen_batch.errors import SettingsInvalid
from imagen_batch.images.validate import validate
from imagen_batch.simulator import Simulator
from tests.exports.runs import picture
from tests.support.runs import prompts, run
from tests.support.shell import Shell


def test_without_the_extra_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback, and nothing is checked halfway."""
    monkeypatch.setitem(sys.modules, "c2pa", None)
    with pytest.raises(SettingsInvalid, match=r"--provenance needs: pip install 'imagen-batch\[c2pa\]'"):
        make_verifier()


@pytest.fixture
def authority():
    """Signs images; its root is known to nobody."""
    pytest.importorskip("c2pa", reason="belongs to the extra `c2pa`")
    pytest.importorskip("cryptography", reason="belongs to the extra `exports-test`")
    from tests.support.signing import make_authority  # noqa: PLC0415 - needs both extras

    return make_authority()


@pytest.mark.parametrize(
    ("form", "mime_type"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")]
)
def test_each_state_of_an_image(authority, form: str, mime_type: str) -> None:
    """Signed with a known and an unknown root, changed in its pixels and in its manifest, never signed."""
    plain = picture(1, form=form)
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
    """A position in `signed` of a byte of the image data."""
    return signed.index(plain[-40:-20]) + 5


def test_another_root_is_not_trusted(authority) -> None:
    """The certificates that the user gives decide, and only they."""
    from tests.support.signing import make_authority  # noqa: PLC0415

    signed = authority.sign(picture(1))
    assert make_verifier(make_authority("Somebody Else").root)(signed, "image/png").state == "untrusted"


def test_hostile_files_are_a_verdict_and_no_exception(authority) -> None:
    """Cut anywhere, empty, text, or of a type that has no C2PA data."""
    signed, verify = authority.sign(picture(1)), make_verifier()
    for size in range(0, len(signed), 997):
        assert verify(signed[:size], "image/png").state in {"altered", "none", "unreadable"}
    assert verify(b"not an image", "image/bmp").state == "unreadable"
    assert verify(b"", "image/png").state in {"none", "unreadable", "altered"}


@pytest.fixture
def finished(authority, tmp_path: Path):
    """A run of four images: signed, signed and then altered, stripped of its data, never signed."""
    with Simulator() as sim:
        done = run(prompts(tmp_path, "a mole", "a rat", "a toad", "a badger"), sim)
    signed = [authority.sign(picture(seed)) for seed in range(4)]
    altered = bytearray(signed[1])
    altered[plain_position(picture(1), signed[1])] ^= 1
    files = [done.folder / row["file"] for row in done.rows]
    for path, data in zip(files, [signed[0], bytes(altered), picture(2), picture(3)], strict=True):
        path.write_bytes(data)
    return done.folder


def test_a_run_is_summed_up_and_each_image_named(finished: Path, authority) -> None:
    """The sum, the signer, what is wrong with which image; --json has every one."""
    provenance = check_provenance(finished, make_verifier(authority.root))
    assert provenance.counts == {"valid": 1, "untrusted": 0, "altered": 1, "none": 2, "unreadable": 0}
    text = provenance_text(provenance)
    assert "provenance of 4 images: 1 valid, 1 altered after signing, 2 no provenance data" in text
    assert "signed by: Test Imaging (2)" in text
    assert "row 2, sample 1: assertion.dataHash.mismatch" in text
    listed = provenance_facts(provenance)["images"]
    assert [image["state"] for image in listed] == ["valid", "altered", "none", "none"]
    assert json.dumps(listed)


def test_a_missing_file_is_said_to_be_unreadable(finished: Path) -> None:
    """The audit itself reports what is missing; the provenance does not hide it."""
    next((finished / "images").iterdir()).unlink()
    assert check_provenance(finished, make_verifier()).counts["unreadable"] == 1


def test_the_command_prints_it_and_ends_with_3_for_altered_images(
    finished: Path, authority, shell: Shell, tmp_path: Path
) -> None:
    """With roots from a file; a file that is none is a sentence."""
    root = tmp_path / "roots.pem"
    root.write_text(authority.root)
    result = shell.type("audit", finished, "--provenance", "--trust-anchors", root)
    assert result.code == 3
    assert "1 valid, 1 altered after signing, 2 no provenance data" in result.out
    facts = shell.type("audit", finished, "--provenance", "--json").json
    assert facts["provenance"]["counts"]["untrusted"] == 1
    assert "provenance" not in shell.type("audit", finished, "--json").json
    missing = shell.type("audit", finished, "--provenance", "--trust-anchors", tmp_path / "nothing.pem")
    assert (missing.code, "No such file" in missing.err) == (2, True)
    root.write_text("no certificate")
    assert shell.type("audit", finished, "--provenance", "--trust-anchors", root).code == 2
    both = shell.type("audit", finished, "--provenance", "--repair")
    assert (both.code, "repair first" in both.err) == (2, True)
    assert not audit(finished).clean
