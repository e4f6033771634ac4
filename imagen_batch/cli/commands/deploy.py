"""`imagen-batch deploy`: makes or updates a Prefect deployment of the job, with or without a schedule."""

from __future__ import annotations

import argparse
import shlex
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from imagen_batch.cli.options import add_config_option, add_input_options, add_request_options, add_sending_options
from imagen_batch.cli.settings_sources import out_template_from, settings_from
from imagen_batch.errors import SettingsInvalid
from imagen_batch.system.streams import print_message, print_result

if TYPE_CHECKING:
    from imagen_batch.cli.strict_parser import Subparsers
    from imagen_batch.orchestration.deployments.specification import Specification

_EXAMPLES = """\
examples:
  prefect server start                                          keep it running; export PREFECT_API_URL
  imagen-batch deploy book.csv --name nightly --cron "15 2 * * *" --timezone Europe/Paris --max-cost-per-run 5
  imagen-batch serve                                            runs what is due, until it is stopped
  imagen-batch deploy book.csv --name nightly                   takes the schedule away

The settings are those of `run`. The API key is none of them: it comes from the environment of `imagen-batch serve`,
or from a Prefect Secret block with --api-key-block.
"""
_OWN = {"cron", "work_pool", "prefect_yaml"}


def add_parser(commands: Subparsers) -> None:
    """Add the command and its options to the command line."""
    deploy = commands.add_parser(
        "deploy",
        usage="%(prog)s [options] PROMPTS",
        help="make, change or unschedule a Prefect deployment of the job",
        description="Make or update a Prefect deployment of the job. Without --cron it has no schedule.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_request_options(deploy)
    add_input_options(deploy)
    add_sending_options(deploy)
    group = deploy.add_argument_group("Schedule")
    group.add_argument("--cron", metavar="C", help='such as "15 2 * * *"; without it the schedule is taken away')
    group.add_argument(
        "--catch-up",
        choices=("skip", "last", "each"),
        default=argparse.SUPPRESS,
        help="missed runs: skip all, make the last one (default), or make each",
    )
    group.add_argument("--work-pool", metavar="NAME", help="let workers of this Prefect work pool make the runs")
    group.add_argument(
        "--prefect-yaml", type=Path, metavar="FILE", help="only write FILE, for `prefect deploy --all`"
    )
    group.add_argument(
        "--api-key-block",
        metavar="NAME",
        default=argparse.SUPPRESS,
        help="Prefect Secret block with the API key (default: the environment of the process that runs the job)",
    )
    add_config_option(deploy)


def run(args: Namespace) -> int:
    """Make or update a deployment."""
    from imagen_batch.orchestration.deployments import create_and_serve  # noqa: PLC0415
    from imagen_batch.orchestration.deployments.prefect_yaml import write  # noqa: PLC0415

    spec = specification_from(args)
    for warning in _unstored(args):
        print_message(warning)
    if args.prefect_yaml is not None:
        write(spec, args.prefect_yaml, work_pool=args.work_pool)
        print_result(
            f"wrote {args.prefect_yaml}. To deploy it: prefect deploy --all --prefect-file "
            f"{shlex.quote(str(args.prefect_yaml))}"
        )
        return 0
    create_and_serve.prepare()
    is_new = create_and_serve.save(spec, work_pool=args.work_pool)
    schedule = f"at {spec.cron} ({spec.timezone})" if spec.cron else "without a schedule"
    print_result(
        f"{'made' if is_new else 'updated'} the deployment {spec.name}, {schedule}, into {spec.settings['out']}"
    )
    served = (
        f"prefect worker start --pool {args.work_pool}"
        if args.work_pool
        else f"imagen-batch serve {shlex.quote(spec.name)}"
    )
    print_message(f"its runs need: {served}")
    print_message(f"to run it now: prefect deployment run {shlex.quote('imagen-batch/' + spec.name)}")
    return 0


def _unstored(args: Namespace) -> list[str]:
    """Warn about options whose values are not stored in Prefect, as they hold secrets or belong to a machine."""
    from imagen_batch.settings import ENV_PREFIX, WATCHING  # noqa: PLC0415

    return [
        f"warning: --{name.replace('_', '-')} is not stored in the deployment: set {ENV_PREFIX}{name.upper()} in the "
        "environment of imagen-batch serve, or of the worker"
        for name in WATCHING
        if getattr(args, name, None)
    ]


def specification_from(args: Namespace) -> Specification:
    """The deployment that the command line describes. Raises SettingsInvalid."""
    from imagen_batch.orchestration.deployments.specification import specify  # noqa: PLC0415
    from imagen_batch.schedules.scheduled_and_missed_moments import check_cron  # noqa: PLC0415
    from imagen_batch.system.time_zone import local_timezone  # noqa: PLC0415

    if getattr(args, "date", None) is not None:
        raise SettingsInvalid("a deployment has no --date: each run is for the date on which it was scheduled")
    template = out_template_from(args)
    typed = Namespace(**{name: value for name, value in vars(args).items() if name not in {*_OWN, "date"}})
    typed.date = "2000-01-01" if template is None or "{date}" in template else None
    settings = settings_from(typed)
    if settings.prompts == "-":
        raise SettingsInvalid("a deployment reads its prompts again for each run: give a file instead of -")
    if not Path(settings.prompts).is_file():
        raise SettingsInvalid(f"{settings.prompts}: no such file")
    try:
        cron = None if args.cron is None else check_cron(args.cron)
    except ValueError as error:
        raise SettingsInvalid(f"--cron: {error}") from None
    return specify(settings, template=template, cron=cron, timezone=settings.timezone or local_timezone())
