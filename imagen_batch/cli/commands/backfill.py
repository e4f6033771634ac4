"""`imagen-batch backfill`: makes the runs of dates that were missed."""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from imagen_batch.cli.commands.run import activate_json_log
from imagen_batch.cli.options import (
    add_config_option,
    add_input_options,
    add_json_option,
    add_request_options,
    add_sending_options,
)
from imagen_batch.cli.settings_sources import out_template_from, settings_from
from imagen_batch.errors import SettingsInvalid
from imagen_batch.system.streams import print_message, print_result
from imagen_batch.text import plural, usd_at_most

if TYPE_CHECKING:
    import datetime as dt

    from imagen_batch.cli.strict_parser import Subparsers
    from imagen_batch.orchestration.deployments.backfill_dates import Day, Done, Which
    from imagen_batch.sending.period.room_left import PeriodRoom
    from imagen_batch.settings import Settings

_MAX_DATES = 3_660
_EXAMPLES = """\
examples:
  imagen-batch backfill nightly --from 2026-10-01 --to 2026-10-31 --dry-run      what is missing, and what it costs
  imagen-batch backfill nightly --from 2026-10-01 --to 2026-10-31                make it, oldest first
  imagen-batch backfill book.csv --out 'outputs/{name}/{date}' --from 2026-10-01 --to 2026-10-03    without Prefect
"""
_OWN = {"first", "last", "dry_run", "which", "backwards", "max_active", "as_json"}


def add_parser(commands: Subparsers) -> None:
    """Add the command and its options to the command line."""
    backfill = commands.add_parser(
        "backfill",
        usage="%(prog)s [options] NAME --from DATE --to DATE",
        help="make the runs of dates that were missed",
        description="Make the runs of a range of dates. NAME is a deployment, which has the settings, or a prompt "
        "file with the options of `run`. A date that is complete costs nothing.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_request_options(backfill)
    group = backfill.add_argument_group("Dates")
    group.add_argument("--from", dest="first", metavar="DATE", required=True, help="first date, as 2026-10-01")
    group.add_argument("--to", dest="last", metavar="DATE", required=True, help="last date")
    group.add_argument("--dry-run", action="store_true", help="only show what would be made, and what it costs")
    which = group.add_mutually_exclusive_group()
    for choice, text in (
        ("missing", "dates without a complete run (default)"),
        ("missing-and-failed", "also dates with failed images, which are sent again"),
        ("all", "every date"),
    ):
        which.add_argument(f"--{choice}", action="store_const", const=choice, dest="which", help=text)
    group.add_argument("--backwards", action="store_true", help="newest date first")
    group.add_argument("--max-active", type=int, default=1, metavar="N", help="dates at the same time (default 1)")
    add_json_option(group)
    add_input_options(backfill)
    add_sending_options(backfill)
    add_config_option(backfill)


def run(args: Namespace) -> int:
    """Make the runs of missed dates."""
    from imagen_batch.orchestration.deployments.backfill_dates import Backfill, choose  # noqa: PLC0415

    if not 1 <= args.max_active <= 32:
        raise SettingsInvalid(f"--max-active {args.max_active}: expected 1 to 32")
    which: Which = args.which or "missing"
    days = _days(args)
    chosen = choose(days, which, backwards=args.backwards)
    if args.dry_run:
        return _show_plan(days, chosen, args)
    if chosen:
        activate_json_log(chosen[0].settings)
    print_message(f"{plural(len(days), 'date')}, {len(chosen)} to make")
    backfill = Backfill(
        max_active=args.max_active, grace=max((day.settings.grace for day in chosen), default=0.0), say=print_message
    )
    done = backfill.make(chosen, which, on_done=lambda each: print_message(_line(each)))
    return _show_result(days, chosen, done, args)


def _days(args: Namespace) -> tuple[Day, ...]:
    from imagen_batch.orchestration.deployments.backfill_dates import Day  # noqa: PLC0415
    from imagen_batch.orchestration.deployments.made_dates import settings_of_date, state_of  # noqa: PLC0415
    from imagen_batch.schedules.scheduled_and_missed_moments import dates_between  # noqa: PLC0415

    first, last = _date(args.first, "--from"), _date(args.last, "--to")
    if first > last or (last - first).days >= _MAX_DATES:
        raise SettingsInvalid(f"--from {first} --to {last}: expected 1 to {_MAX_DATES:,} dates, the first one first")
    given, cron, timezone = _job(args)
    days = []
    for date in dates_between(first, last, cron=cron, timezone=timezone):
        settings = settings_of_date(given, date, env=dict(os.environ))
        days.append(Day(date, settings, state_of(settings.folder)))
    return tuple(days)


def _date(text: str, option: str) -> dt.date:
    import datetime as dt  # noqa: PLC0415

    from imagen_batch.schedules.out_template import parse_date  # noqa: PLC0415

    try:
        date = parse_date(text)
    except ValueError as error:
        raise SettingsInvalid(f"{option} {text}: {error}") from None
    assert isinstance(date, dt.date)
    return date


def _job(args: Namespace) -> tuple[Settings, str | None, str]:
    """The settings of the job as they were given, its schedule and its time zone."""
    from imagen_batch.settings import Settings  # noqa: PLC0415

    if getattr(args, "date", None) is not None:
        raise SettingsInvalid("backfill has no --date: use --from and --to")
    typed = {name: value for name, value in vars(args).items() if name not in {*_OWN, "date"}}
    if Path(args.prompts).is_file():
        template = out_template_from(args)
        settings = settings_from(Namespace(**typed, date=args.first))
        return settings.model_copy(update={"out": template}), None, settings.timezone or "UTC"
    from imagen_batch.orchestration.deployments import create_and_serve  # noqa: PLC0415

    try:
        create_and_serve.prepare()
    except SettingsInvalid as error:
        raise SettingsInvalid(f"{args.prompts} is no file, so it has to be a deployment, and {error}") from None
    listed = {each.name: each for each in create_and_serve.find()}
    if args.prompts not in listed:
        known = ", ".join(listed) or "none"
        raise SettingsInvalid(f"{args.prompts} is neither a prompt file nor a deployment (deployments: {known})")
    found = listed[args.prompts]
    return Settings.model_validate(found.settings), found.cron, found.timezone or "UTC"


def _show_plan(days: tuple[Day, ...], chosen: tuple[Day, ...], args: Namespace) -> int:
    from imagen_batch.cli.plan_report import open_preview  # noqa: PLC0415
    from imagen_batch.cli.plan_report.describe_periods import describe_period, period_facts  # noqa: PLC0415

    made = {day.date for day in chosen}
    rows, images, cost, cheapest, unpriced = [], 0, 0.0, math.inf, 0
    periods: tuple[PeriodRoom, ...] = ()
    for day in days:
        pending = None
        if day.date in made:
            with open_preview(day.settings) as preview:
                pending, periods = preview.pending, preview.periods
            images, cost = images + pending.samples, cost + pending.usd
            cheapest = min(cheapest, pending.cheapest) if pending.requests else cheapest
            unpriced += pending.unpriced
        rows.append((day, pending))
    if args.as_json:
        dates = [
            {
                "date": str(day.date),
                "state": day.state,
                "out": day.settings.folder,
                "samples": 0 if pending is None else pending.samples,
            }
            for day, pending in rows
        ]
        limits = [period_facts(room, needed=cost, unpriced=unpriced) for room in periods]
        print_result(json.dumps({"dates": dates, "samples": images, "usd": round(cost, 6), "periods": limits}))
        return 0
    for day, pending in rows:
        what = "left" if pending is None else f"{plural(pending.samples, 'image')}, up to {usd_at_most(pending.usd)}"
        print_result(f"{day.date}  {day.state:<10}  {what}")
    total = f"{plural(images, 'image')}, up to {usd_at_most(cost)}"
    print_result(f"{plural(len(chosen), 'date')} to make: {total}. Nothing was sent.")
    for room in periods:
        provider = chosen[0].settings.provider
        print_result(
            describe_period(
                room,
                needed=cost,
                cheapest=cheapest,
                unpriced=unpriced,
                provider=provider,
                what="this backfill",
            )
        )
    return 0


def _line(done: Done) -> str:
    return f"{done.day.date}: {done.text}"


def _show_result(days: tuple[Day, ...], chosen: tuple[Day, ...], done: list[Done], args: Namespace) -> int:
    begun = {each.day.date for each in done}
    left = [day.date for day in chosen if day.date not in begun]
    codes = [each.code for each in done]
    code = next((code for code in codes if code not in (0, 3, 4)), max(codes, default=0))
    if args.as_json:
        dates = [
            {"date": str(each.day.date), "exit_code": each.code, "result": each.text, "out": each.day.settings.folder}
            for each in done
        ]
        print_result(json.dumps({"dates": dates, "left": list(map(str, left)), "exit_code": code}))
        return code
    complete = sum(each.code == 0 for each in done)
    print_result(f"{complete} of {plural(len(chosen), 'date')} complete, {len(days) - len(chosen)} were before")
    if left:
        words = ["imagen-batch", *args.argv]
        print_result(f"not begun: {', '.join(map(str, left))}. To continue: {shlex.join(words)}")
    return code
