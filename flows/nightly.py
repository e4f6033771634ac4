"""A nightly job: the images of a prompt file, then an export of what is complete.

Deploy it with `prefect deploy flows/nightly.py:nightly`, or serve it from here:

    python flows/nightly.py prompts/book.csv "15 2 * * *" Europe/Paris

Each run is for the date on which it was scheduled. A run that is killed, stopped by its budget or by the clock is
continued by the same date's next run, and nothing that arrived is paid for twice.
"""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from prefect import flow, runtime
from prefect.logging import get_run_logger
from prefect.schedules import Cron

from imagen_batch.exports.export import export
from imagen_batch.orchestration import generate_images
from imagen_batch.settings import Settings


@flow(name="nightly", flow_run_name="nightly {prompts}")
def nightly(  # noqa: PLR0913, PLR0917 - the fields of the form in Prefect
    prompts: str,
    out: str = "outputs/{name}/{date}",
    timezone: str = "UTC",
    max_cost_per_run: float = 5.0,
    max_cost_per: str = "30d=100",
    max_time: str = "3h",
    provider: str = "gemini",
    day: date | None = None,
) -> dict[str, Any]:
    """Make the images of one date and export them.

    Args:
        prompts: prompt file
        out: output folder, with {name} and {date}
        timezone: time zone of the dates, such as Europe/Paris
        max_cost_per_run: USD for one night
        max_cost_per: USD in a rolling period, for all nights together
        max_time: the run has ended after this time; the next one continues
        provider: gemini, vertex or simulator
        day: the date to make; by default that on which the run was scheduled
    """
    day = day or runtime.flow_run.scheduled_start_time.astimezone(ZoneInfo(timezone)).date()
    settings = Settings.model_validate(
        {
            "prompts": prompts,
            "out": out,
            "date": day,
            "provider": provider,
            "max_cost_per_run": max_cost_per_run,
            "max_cost_per": max_cost_per,
            "max_time": max_time,
        }
    )
    summary: dict[str, Any] = generate_images(settings)
    if summary["samples"]["ok"] == summary["samples"]["asked"]:
        done = export(summary["out"], to="imagefolder", out=None)
        get_run_logger().info("%d images exported to %s", done.images, done.out)
    return summary


if __name__ == "__main__":
    file, cron, zone = sys.argv[1:]
    nightly.serve(
        name="nightly",
        schedules=[Cron(cron, timezone=zone)],
        parameters={"prompts": str(Path(file).resolve()), "timezone": zone},
        limit=1,
    )
