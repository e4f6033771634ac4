"""Writes run folders as a finished run leaves them, without sending anything."""

import hashlib
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

from imagen_batch.reports.tables.manifest import manifest_columns

HOSTILE = (
    "</script><script>window.attacked = 1</script>",
    '"><img src=x onerror="window.attacked = 1">',
    "<svg onload=window.attacked=1> {{title}} ${7*7} {{data}}",
    "line\u2028separator \u2029 and \u202eright to left\u202c and a lone \ud800 surrogate",
    "<!--<script> ]]> javascript:window.attacked=1",
    '=HYPERLINK("http://127.0.0.1:1/","look")',
)


def image_bytes(number: int, *, size: tuple[int, int] = (96, 72), kind: str = "PNG") -> bytes:
    """Return a small image, a different one for each number."""
    image = Image.new("RGB", size, ((number * 53) % 200 + 30, (number * 97) % 200 + 30, (number * 29) % 200 + 30))
    ImageDraw.Draw(image).text((8, 8), str(number), fill="white")
    target = io.BytesIO()
    image.save(target, kind)
    return target.getvalue()


def key_of(row: int) -> str:
    return hashlib.sha256(f"row {row}".encode()).hexdigest()


def write_manifest(folder: Path, records: list[dict], *, user: tuple[str, ...] = ("chapter",), extra=()) -> Path:
    """Write a manifest. `records` have its columns by name; missing ones are empty. `extra` are later columns."""
    folder.mkdir(parents=True, exist_ok=True)
    own = [pa.field(column.name, column.type) for column in manifest_columns(())]
    schema = pa.schema([*own, *extra, *(pa.field(name, pa.string()) for name in user)])
    pq.write_table(pa.Table.from_pylist(records, schema=schema), folder / "manifest.parquet")
    return folder


def run_folder(folder: Path, *, rows: int = 10, samples: int = 4, extra_rows: tuple[str, ...] = ()) -> Path:
    """Write a run whose rows have variants: in every fifth row the third was refused, in row 2 the last failed."""
    records = []
    prompts = [f"A hedgehog with lantern number {row}" for row in range(1, rows + 1)] + list(extra_rows)
    for row, prompt in enumerate(prompts, 1):
        for sample in range(1, samples + 1):
            record = {
                "row": row,
                "line": row + 1,
                "id": f"scene-{row}",
                "sample": sample,
                "prompt": prompt.encode("utf-8", "replace").decode(),
                "model": "imagen-4.0" if row % 2 else "gemini-image",
                "provider": "simulator",
                "key": key_of(row),
                "cost_usd": 0.04,
                "chapter": f"{(row - 1) // 4 + 1} The River",
            }
            if row % 5 == 0 and sample == 3:
                record |= {
                    "status": "filtered",
                    "raiFilteredReason": "Blocked: violence.",
                    "filter_category": "violence",
                }
            elif row == 2 and sample == samples:
                record |= {
                    "status": "failed",
                    "error": "The service did not answer in time.",
                    "error_kind": "timeout",
                }
            else:
                record |= _write_image(folder, row, sample)
            records.append(record)
    return write_manifest(folder, records)


def _write_image(folder: Path, row: int, sample: int) -> dict:
    data = image_bytes(row * 10 + sample)
    name = f"images/{row:06}_{sample:02}_{key_of(row)[:8]}.png"
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return {
        "status": "ok",
        "file": name,
        "width": 96,
        "height": 72,
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
