"""Checks that a repair killed at any of its storage operations never pays for an image that is on disk.

    python -m benchmarks.reliability.repair_kills [KILLS=200]

A finished run of ten images is damaged in many ways: two images are lost, the others swapped, renamed, linked,
unrecorded or forgotten by the ledger. A repair of it is killed with SIGKILL before, in the middle of, or after one
of its operations, then restarted and killed at random until it ends. Then it pays for the images it reports as lost.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.support.jobs import close, job, prompt_file
from imagen_batch.audit.audit import audit
from imagen_batch.audit.repair import Repaired, repair
from imagen_batch.inputs.stored_input_and_settings import load_settings_snapshot
from imagen_batch.planning.checking.make_plan import make_plan
from imagen_batch.runs.run import open_run
from imagen_batch.simulator import Simulator
from tests.support.killing import copy_damaged, each_change

ROWS = 10


def main() -> None:
    """Kill at each operation in turn, then at random ones, until there were enough kills."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    done = wrong_counts = unclean = 0
    dice, moment = random.Random(8), 0
    with tempfile.TemporaryDirectory() as name, Simulator() as sim:
        home = Path(name)
        finished = job(prompt_file(home, ROWS), sim.url).folder
        while done < kills:
            moment += 1
            folder, lost = copy_damaged(finished, home / f"copy{moment}")
            here = _repair_until_killed(folder, at=moment)
            if not here:  # the repair has no such operation: start over with the first one
                moment = 0
            done += here
            while here and dice.random() < 0.4 and _repair_until_killed(folder, at=dice.randrange(1, 80)):
                done += 1
            paid = _pay_for_lost(folder, repair(folder), sim)
            wrong_counts += paid != len(lost)
            unclean += bool({finding.kind for finding in audit(folder).findings} - {"foreign", "duplicated"})
            shutil.rmtree(folder.parent, ignore_errors=True)
    print(f"{done} kills; repairs that paid for the wrong number of images: {wrong_counts}")
    print(f"folders not clean at the end: {unclean}")
    close(
        {
            "there were enough kills": done >= kills,
            "no image that was on disk is paid for": not wrong_counts,
            "the folder is clean at the end": not unclean,
        }
    )


def _repair_until_killed(folder: Path, *, at: int) -> bool:
    """Repair in a process that kills itself at operation `at`; return False if it ends before that."""
    child = os.fork()
    if not child:
        with each_change(_kill_at(at)):
            repair(folder)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def _kill_at(at: int) -> Callable[[], None]:
    left = [at]

    def happens() -> None:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    return happens


def _pay_for_lost(folder: Path, repaired: Repaired, sim: Simulator) -> int:
    """Pay for the images that the repair reports as lost; return their number."""
    before = sim.bill.total
    settings = load_settings_snapshot(folder).model_copy(update={"base_url": sim.url})
    plan = make_plan(settings, today=datetime.now(UTC).date())
    plan = replace(plan, samples_to_remake=repaired.samples_to_remake)
    with open_run(plan, env={}) as run:
        for shard in run.shards():
            run.generate_shard(shard)
        run.finish()
    return sim.bill.total - before


if __name__ == "__main__":
    main()
