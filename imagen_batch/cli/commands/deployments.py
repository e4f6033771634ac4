"""`imagen-batch deployments`: lists the deployments of the Prefect server."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import TYPE_CHECKING

from imagen_batch.cli.options import add_json_option
from imagen_batch.system.streams import print_result
from imagen_batch.text import printable

if TYPE_CHECKING:
    from imagen_batch.cli.strict_parser import Subparsers
    from imagen_batch.orchestration.deployments.create_and_serve import Listed


def add_parser(commands: Subparsers) -> None:
    """Add the command and its options to the command line."""
    listing = commands.add_parser(
        "deployments",
        help="list the deployments of the Prefect server",
        description="List the deployments of the Prefect server at PREFECT_API_URL.",
    )
    add_json_option(listing, help_text="print a JSON list")


def run(args: Namespace) -> int:
    """List the deployments."""
    from imagen_batch.orchestration.deployments import create_and_serve  # noqa: PLC0415

    create_and_serve.prepare()
    found = create_and_serve.find()
    if args.as_json:
        print_result(json.dumps([_facts(each) for each in found], default=str))
    elif not found:
        print_result('no deployments. To make one: imagen-batch deploy PROMPTS --name nightly --cron "15 2 * * *"')
    else:
        print_result("\n".join(line for each in found for line in _lines(each)))
    return 0


def _facts(listed: Listed) -> dict[str, object]:
    return {
        "name": listed.name,
        "cron": listed.cron,
        "timezone": listed.timezone,
        "active": listed.active,
        "work_pool": listed.work_pool,
        "next_run": listed.next_run,
        "last_run": listed.last_run,
        "prompts": listed.settings.get("prompts"),
        "out": listed.settings.get("out"),
    }


def _lines(listed: Listed) -> list[str]:
    paused = "" if listed.active else ", paused"
    schedule = f"{listed.cron} ({listed.timezone or 'UTC'}){paused}" if listed.cron else "no schedule"
    coming = f"{listed.next_run:%Y-%m-%d %H:%M} UTC" if listed.next_run else "none"
    return [
        printable(f"{listed.name}: {schedule}"),
        printable(f"  {listed.settings.get('prompts')} -> {listed.settings.get('out')}"),
        f"  next run {coming}; last run {listed.last_run or 'none'}",
    ]
