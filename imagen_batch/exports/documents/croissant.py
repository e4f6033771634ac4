"""Writes Croissant 1.0 metadata (JSON-LD) for an image folder and for Parquet shards."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from imagen_batch.exports.documents.card import title
from imagen_batch.exports.formats import Format
from imagen_batch.exports.formats.imagefolder import metadata_schema
from imagen_batch.exports.job import Job, describing_columns
from imagen_batch.exports.tally import Tally

RECORDS = "default"
"""The name of the only set of records."""

_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def croissant(format_: Format, job: Job, tally: Tally) -> bytes:
    """Return the whole `croissant.json`."""
    name = title(job)
    about: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": name,
        "description": f"{tally.images:,} images generated from text prompts.",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "keywords": ["synthetic", "text-to-image"],
        "version": "1.0.0",
        "isLiveDataset": False,
        "distribution": _distribution(format_),
        "recordSet": [_records(format_, job)],
    }
    if tally.last is not None:
        about["datePublished"] = tally.last.date().isoformat()
    if job.options.license:
        about["license"] = job.options.license
    return (json.dumps(about, indent=1, ensure_ascii=False) + "\n").encode(errors="replace")


def _distribution(format_: Format) -> list[dict[str, Any]]:
    folder = {
        "@type": "cr:FileObject",
        "@id": "folder",
        "name": "folder",
        "description": "The folder that holds this file.",
        "contentUrl": ".",
        "encodingFormat": "local_directory",
        "sha256": "https://github.com/mlcommons/croissant/issues/80",
    }
    if format_.name == "parquet":
        return [folder, _file_set("tables", "application/x-parquet", "data/*.parquet")]
    images = _file_set("images", "image/*", ["*/*/*.png", "*/*/*.jpg", "*/*/*.webp"])
    return [folder, _file_set("tables", "application/x-parquet", "*/metadata.parquet"), images]


def _file_set(name: str, media_type: str, includes: str | list[str]) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": name,
        "name": name,
        "containedIn": {"@id": "folder"},
        "encodingFormat": media_type,
        "includes": includes,
    }


def _records(format_: Format, job: Job) -> dict[str, Any]:
    schema = metadata_schema(job.run.schema, describing_columns(job.run))
    names = list(schema)[1:] if format_.name == "parquet" else list(schema)
    fields = [_field(field) for field in names]
    if format_.name == "parquet":
        fields.insert(0, _embedded())
    return {"@type": "cr:RecordSet", "@id": RECORDS, "name": RECORDS, "field": fields}


def _field(field: pa.Field) -> dict[str, Any]:
    source = {"fileSet": {"@id": "tables"}, "extract": {"column": field.name}}
    return {
        "@type": "cr:Field",
        "@id": f"{RECORDS}/{field.name}",
        "name": field.name,
        "dataType": _data_type(field.type),
        "source": source,
    }


def _embedded() -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"{RECORDS}/image",
        "name": "image",
        "dataType": "sc:ImageObject",
        "source": {
            "fileSet": {"@id": "tables"},
            "extract": {"column": "image"},
            "transform": {"jsonPath": "bytes"},
        },
    }


def _data_type(type_: pa.DataType) -> str:
    if pa.types.is_boolean(type_):
        return "sc:Boolean"
    if pa.types.is_integer(type_):
        return "cr:Int64"
    if pa.types.is_floating(type_):
        return "cr:Float64"
    if pa.types.is_date(type_):
        return "sc:Date"
    return "sc:DateTime" if pa.types.is_timestamp(type_) else "sc:Text"
