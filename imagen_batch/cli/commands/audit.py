"""`imagen-batch audit`: checks a run, repairs it, and makes lost images again if the user agrees to pay."""

from __future__ import annotations

import shlex
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from imagen_batch.cli.commands.run import run_and_print
from imagen_batch.cli.confirm_and_color import make_confirm
from imagen_batch.cli.exit_code_and_message import FINDINGS
from imagen_batch.cli.options import (
    add_display_options,
)
from imagen_batch.errors import SettingsInvalid
from imagen_batch.system.streams import print_message, print_result
from imagen_batch.text import printable_lines, round_up_to_cents, usd_at_most

if TYPE_CHECKING:
    from imagen_batch.audit.findings import Audit
    from imagen_batch.audit.repair import Repaired
    from imagen_batch.cli.strict_parser import Subparsers


def add_parser(commands: Subparsers) -> None:
    """Add the command and its options to the command line."""
    audit = commands.add_parser("audit", help="check that files, ledger and tables of a run agree; exit 3 if not")
    audit.add_argument("folder", metavar="DIR", help="folder or URL of the run")
    audit.add_argument(
        "--repair",
        action="store_true",
        help="repair what costs nothing, write the tables again, and ask before paying for lost images again",
    )
    audit.add_argument("--max-cost", type=float, metavar="USD", help="limit of what a repair may spend")
    audit.add_argument(
        "--provenance",
        action="store_true",
        help="verify the C2PA data of each image (extra c2pa): valid, untrusted root, altered, none",
    )
    audit.add_argument(
        "--trust-anchors", type=Path, metavar="FILE", help="root certificates (PEM) that --provenance trusts"
    )
    add_display_options(audit)


def run(args: Namespace) -> int:
    """Compare files, ledger and tables, repair them with --repair, and print the differences."""
    from imagen_batch.audit.audit import audit  # noqa: PLC0415
    from imagen_batch.audit.report import audit_text  # noqa: PLC0415

    if args.repair and args.provenance:
        raise SettingsInvalid("--provenance and --repair exclude each other: repair first, then verify")
    if args.provenance:
        return _verify_and_print(args)
    if not args.repair:
        return _print_audit(audit(args.folder), args)
    print_message(audit_text(audit(args.folder)))
    repaired = _repair(args.folder)
    return _offer_to_remake(repaired, args) if repaired.samples_to_remake else _print_audit(repaired.audit, args)


def _print_audit(audit: Audit, args: Namespace) -> int:
    from imagen_batch.audit.report import audit_json, audit_text  # noqa: PLC0415

    print_result(audit_json(audit) if args.as_json else printable_lines(audit_text(audit)))
    return _exit_code(audit)


def _exit_code(audit: Audit) -> int:
    """Return 3 also where images may have been charged and did not arrive: that is no damage, and has to be seen."""
    return 0 if audit.clean and not audit.of("paid_undelivered") else FINDINGS


def _verify_and_print(args: Namespace) -> int:
    from imagen_batch.audit.audit import audit  # noqa: PLC0415
    from imagen_batch.audit.provenance.verify import make_verifier  # noqa: PLC0415
    from imagen_batch.audit.provenance.verify_run import check_provenance, provenance_text  # noqa: PLC0415
    from imagen_batch.audit.report import audit_json, audit_text  # noqa: PLC0415

    verify = make_verifier(_read_anchors(args.trust_anchors))
    report = audit(args.folder)
    provenance = check_provenance(args.folder, verify)
    if args.as_json:
        print_result(audit_json(report, provenance=provenance))
    else:
        print_result(f"{printable_lines(audit_text(report))}\n{provenance_text(provenance)}")
    return FINDINGS if provenance.altered else _exit_code(report)


def _read_anchors(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or "is not a PEM file"
        raise SettingsInvalid(f"--trust-anchors {path}: {reason}") from error


def _repair(folder: str) -> Repaired:
    from imagen_batch.audit.repair import repair  # noqa: PLC0415

    try:
        return repair(folder, notify=print_message)
    except OSError as error:
        reason = ": ".join(str(part) for part in (error.filename, error.strerror or error) if part is not None)
        message = f"the repair stopped: {reason}. Nothing is lost: fix that and repair again"
        raise OSError(error.errno, message) from error


def _offer_to_remake(repaired: Repaired, args: Namespace) -> int:
    """Make lost images again, if the user agrees to pay."""
    from imagen_batch.inputs.stored_input_and_settings import load_settings_to_continue, reload_plan  # noqa: PLC0415
    from imagen_batch.reports.next_steps import make_absolute  # noqa: PLC0415

    settings, total = load_settings_to_continue(args.folder, {}), repaired
    if args.max_cost is not None:
        repaired = repaired.within(args.max_cost, reload_plan(args.folder).index.price)
        stored = settings.max_cost_per_run
        limit = args.max_cost if stored is None else min(args.max_cost, stored)
        settings = settings.model_copy(update={"max_cost_per_run": limit})
    print_message(f"{_lost_images(total.images)} again costs {_price(total)}")
    if repaired.images < total.images:
        print_message(f"--max-cost {args.max_cost:g} is enough for {repaired.images} of them")
    confirm = make_confirm(args)
    if repaired.images and (args.yes or (confirm and confirm("Make them again?"))):
        args.yes = True  # the user has agreed already
        return run_and_print(settings, args, samples_to_remake=repaired.samples_to_remake)
    command = shlex.join(["imagen-batch", "audit", make_absolute(args.folder), "--repair", "--yes"])
    enough = round_up_to_cents(total.usd)
    print_message(f"everything else is repaired; to make them again: {command} --max-cost {enough}")
    _print_audit(repaired.audit, args)
    return FINDINGS


def _lost_images(count: int) -> str:
    return "1 image is lost: to make it" if count == 1 else f"{count:,} images are lost: to make them"


def _price(total: Repaired) -> str:
    unpriced = f", and {total.unpriced} without a known price" if total.unpriced else ""
    return f"at most {usd_at_most(total.usd)}{unpriced}"
