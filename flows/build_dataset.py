"""Builds a dataset: the images of a prompt file until enough are usable, then a Parquet or WebDataset export.

    python flows/build_dataset.py prompts/book.csv --provider simulator --to parquet

Deploy it with `prefect deploy flows/build_dataset.py:build_dataset`. Run it again to continue: only what is missing
is requested, and the export is written again from all images in the folder.
"""

from __future__ import annotations

import argparse
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.logging import get_run_logger

from imagen_batch.exports.export import export
from imagen_batch.orchestration import generate_images
from imagen_batch.settings import Settings


class TooFewImages(Exception):
    """The run ended with fewer images than the dataset needs."""


@flow(name="build-dataset", flow_run_name="dataset {prompts}")
def build_dataset(
    prompts: str,
    out: str = "outputs/dataset",
    to: str = "parquet",
    at_least: float = 0.95,
    max_cost: float | None = None,
    provider: str = "gemini",
) -> dict[str, Any]:
    """Make the images, and export them if enough are there.

    Args:
        prompts: prompt file
        out: output folder or URL
        to: format of the export: parquet, webdataset, imagefolder, captions, coco
        at_least: share of the requested images that the dataset needs, from 0 to 1
        max_cost: USD for all runs into the folder together
        provider: gemini, vertex or simulator
    """
    given = {"prompts": prompts, "out": out, "provider": provider, "max_cost": max_cost}
    settings = Settings.model_validate({name: value for name, value in given.items() if value is not None})
    summary: dict[str, Any] = generate_images(settings)
    made, asked = summary["samples"]["ok"], summary["samples"]["asked"]
    if made < at_least * asked:
        raise TooFewImages(f"{made} of {asked} images were made, {at_least:.0%} are needed: run again to continue")
    done = export(out, to=to, out=None)
    get_run_logger().info("%d images exported to %s", done.images, done.out)
    create_markdown_artifact(
        f"{done.images} of {asked} images in `{done.out}`", key="dataset", description="the exported dataset"
    )
    return {"out": done.out, "images": done.images, "cost_usd": summary["cost_usd"]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prompts")
    for option in ("out", "to", "provider"):
        parser.add_argument(f"--{option}", default=argparse.SUPPRESS)
    for option in ("at-least", "max-cost"):
        parser.add_argument(f"--{option}", type=float, default=argparse.SUPPRESS)
    build_dataset(**vars(parser.parse_args()))
