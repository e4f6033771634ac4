"""Writes XMP packets with prompt, model, and the statement that a trained model made the image.

Properties: IPTC Photo Metadata Standard 2025.1 (`DigitalSourceType`, `AIPromptInformation`, `AISystemUsed`,
`AISystemVersionUsed` of the namespace `Iptc4xmpExt`), Dublin Core and XMP basic.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import Any

from imagen_batch.exports.escaping import xml_text

_SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_JPEG_NAME = b"http://ns.adobe.com/xap/1.0/\0"
_MAX_JPEG = 65_533 - len(_JPEG_NAME)
_PNG_HEADER = 33  # signature and IHDR


def packet(row: Mapping[str, Any]) -> bytes:
    """Return the packet for an image of this manifest row. The simulator counts as an algorithm, not a model."""
    simulated = row.get("provider") == "simulator"
    kind = "algorithmicMedia" if simulated else "trainedAlgorithmicMedia"
    prompt, model = xml_text(row.get("prompt") or ""), xml_text(row.get("model") or "unknown")
    version = row.get("model_version")
    extra = (
        f"\n   <Iptc4xmpExt:AISystemVersionUsed>{xml_text(str(version))}</Iptc4xmpExt:AISystemVersionUsed>"
        if version
        else ""
    )
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
        ' <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
        '  <rdf:Description rdf:about=""\n'
        '    xmlns:dc="http://purl.org/dc/elements/1.1/"\n'
        '    xmlns:xmp="http://ns.adobe.com/xap/1.0/"\n'
        '    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">\n'
        f"   <Iptc4xmpExt:DigitalSourceType>{_SOURCE}{kind}</Iptc4xmpExt:DigitalSourceType>\n"
        f"   <Iptc4xmpExt:AISystemUsed>{model}</Iptc4xmpExt:AISystemUsed>{extra}\n"
        f"   <Iptc4xmpExt:AIPromptInformation>{prompt}</Iptc4xmpExt:AIPromptInformation>\n"
        f'   <dc:description><rdf:Alt><rdf:li xml:lang="x-default">{prompt}</rdf:li></rdf:Alt></dc:description>\n'
        "   <xmp:CreatorTool>imagen-batch</xmp:CreatorTool>\n"
        "  </rdf:Description>\n </rdf:RDF>\n</x:xmpmeta>\n"
        '<?xpacket end="r"?>\n'
    ).encode()


def embed(image: bytes, xmp: bytes) -> bytes | None:
    """Return the image with the packet inside and its pixel data unchanged.

    Return None if that is not possible: the format is neither PNG nor JPEG, or a packet exists or is too large.
    """
    if image.startswith(b"\x89PNG\r\n\x1a\n") and b"XML:com.adobe.xmp" not in image:
        return image[:_PNG_HEADER] + _text_chunk(xmp) + image[_PNG_HEADER:]
    if image.startswith(b"\xff\xd8\xff") and _JPEG_NAME not in image and len(xmp) <= _MAX_JPEG:
        at = _after_jfif(image)
        body = _JPEG_NAME + xmp
        return image[:at] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + image[at:]
    return None


def _text_chunk(xmp: bytes) -> bytes:
    body = b"iTXtXML:com.adobe.xmp\0\0\0\0\0" + xmp
    return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))


def _after_jfif(image: bytes) -> int:
    """Return the position after the JFIF segment, which has to come first, and the Exif segment."""
    at = 2
    while image[at : at + 2] in {b"\xff\xe0", b"\xff\xe1"}:
        at += 2 + int.from_bytes(image[at + 2 : at + 4], "big")
    return at
