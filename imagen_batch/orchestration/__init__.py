"""Runs the job as a Prefect flow. The only package that imports Prefect."""

from typing import Any

__all__ = ["generate_images"]


def __getattr__(name: str) -> Any:
    """Import the flow on first use: importing Prefect takes a second."""
    if name == "generate_images":
        from imagen_batch.orchestration.flow import generate_images  # noqa: PLC0415

        return generate_images
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
