"""A plan, a run and its summary name the same amounts for the same images, and each amount is enough as a limit."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagen_batch.cli.plan_report.describe_periods import describe_period
from imagen_batch.schedules.period_limits import parse_period_limit
from imagen_batch.sending.period.room_left import PeriodRoom
from imagen_batch.simulator import Simulator
from imagen_batch.text import round_up_to_cents, usd, usd_at_most
from tests.support.runs import prompts, run

KEY = {"GOOGLE_API_KEY": "AIza-of-a-test"}


@given(st.floats(0, 1e6))
def test_the_most_that_something_costs_is_never_below_the_amount(amount):
    """It differs by less than its last digit, and is no more than the limit that is suggested."""
    shown = float(usd_at_most(amount).lstrip("$").replace(",", ""))
    assert amount - 1e-6 <= shown < amount + 0.01
    assert shown <= float(round_up_to_cents(amount)) + 1e-9


def test_amounts_that_are_exact_are_not_raised():
    """Sums of floats have small errors, which are no cents."""
    assert usd_at_most(0.1 + 0.2) == "$0.30" == usd(0.3)
    assert usd_at_most(0.0411) == "$0.0411"
    assert usd_at_most(0.09999) == "$0.10"
    assert usd_at_most(0) == "$0.00"


def test_the_price_of_a_plan_is_enough_as_a_limit(shell):
    """$0.204 was called $0.20, with which the last image was not made."""
    with Simulator() as sim:
        (shell.here / "p.csv").write_text("prompt\n" + "".join(f"number {number}\n" for number in range(6)))
        job = ("p.csv", "--out", "o", "--provider", "simulator", "--base-url", sim.url, "--price", "0.034")
        most = re.search(r"at most \$([0-9.]+)", shell.run("plan", *job).out)[1]
        assert most == "0.21"
        assert shell.run("run", *job, "--max-cost", most).code == 0


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ({"max_cost": 0.02}, ("--max-cost", "0.09")),
        ({"max_images": 1}, ("--max-images", "2")),
    ],
)
def test_a_suggested_limit_leaves_out_a_rehearsal_in_the_same_folder(tmp_path, limit, expected):
    """Its images cost nothing, and the run itself does not count them."""
    with Simulator() as sim:
        run(prompts(tmp_path, *(f"rehearsal {number}" for number in range(5))), sim)
        real = {"provider": "gemini", "base_url": sim.url, "env": KEY, "other_input": "replace"}
        ran = run(prompts(tmp_path, "one", "two"), sim, **real, **limit)
    assert ran.summary.state == "budget"
    [step] = ran.summary.next_steps
    assert step.command.endswith(" ".join(expected))


def test_a_reached_limit_is_written_like_other_amounts(tmp_path):
    """$0.00 and $0.0718, not $0.0000."""
    with Simulator() as sim:
        reason = run(prompts(tmp_path, "one"), sim, max_cost=0.01).summary.facts.stop_reason
    assert reason.message.startswith("stopped by the budget: $0.00 of --max-cost 0.01 is spent")


@pytest.mark.parametrize(
    ("counted", "sends"), [(0.0, True), (0.06, True), (0.0601, False), (0.09, False), (0.1, False), (0.3, False)]
)
def test_a_plan_says_that_nothing_is_sent_where_no_image_fits(counted, sends):
    """Less than the price of one image is left."""
    room = PeriodRoom(parse_period_limit("30d=0.1"), "/o", counted)
    text = describe_period(room, needed=0.12, cheapest=0.04, unpriced=0, provider="gemini")
    assert ("it stops with code 6 when that is spent" in text) is sends
    assert ("it sends nothing and ends with code 6" in text) is not sends


def budget_lines(shell, *job):
    """Return the lines of a plan about the limits of a run."""
    lines = shell.run("plan", *job).out.splitlines()
    return [line.removeprefix("budget").strip() for line in lines if line.startswith("budget")]


def test_a_plan_names_the_limit_that_the_summary_of_the_run_suggests(shell):
    """Before the first run, after it stopped, and once nothing is left."""
    with Simulator() as sim:
        (shell.here / "p.csv").write_text("prompt\none\ntwo\nthree\n")
        job = ("p.csv", "--out", "o", "--provider", "simulator", "--base-url", sim.url, "--price", "0.04")
        limit = ("--max-cost", "0.05")
        assert budget_lines(shell, *job) == []
        enough = "--max-cost 0.12 is enough"
        [line] = budget_lines(shell, *job, *limit)
        left, _, fit = line.partition("; ")
        assert left == "--max-cost 0.05 leaves $0.05"
        assert fit == f"this run does not fit: it stops with code 6 when that is used up; {enough}"
        stopped = shell.run("run", *job, *limit)
        assert stopped.code == 6
        assert "use --max-cost 0.12:" in stopped.out
        [line] = budget_lines(shell, *job, *limit)
        left, _, fit = line.partition("; ")
        assert left == "--max-cost 0.05 leaves $0.01 ($0.04 spent or possibly charged in this folder)"
        assert fit == f"this run does not fit: it sends nothing and ends with code 6; {enough}"
        assert budget_lines(shell, *job, "--max-cost", "0.12") == [
            "--max-cost 0.12 leaves $0.08 ($0.04 spent or possibly charged in this folder); this run fits"
        ]
        assert shell.run("run", *job, "--max-cost", "0.12").code == 0
        [line] = budget_lines(shell, *job, "--max-cost", "0.12")
        assert line.endswith("this run needs none of it")


def test_a_plan_describes_each_limit_of_the_run(shell):
    """Also for programs."""
    with Simulator() as sim:
        (shell.here / "p.csv").write_text("prompt\none\ntwo\nthree\n")
        job = ("p.csv", "--out", "o", "--provider", "simulator", "--base-url", sim.url, "--price", "0.04")
        assert shell.run("run", *job, "--limit", "1").code == 3
        limits = ("--max-cost-per-run", "0.05", "--max-images", "2")
        end = "this run does not fit: it stops with code 6 when that is used up"
        per_run, images = budget_lines(shell, *job, *limits)
        more = "and a later one continues; --max-cost-per-run 0.08 is enough"
        assert per_run == f"--max-cost-per-run 0.05 leaves $0.05; {end}, {more}"
        made = "(1 made or possibly made in this folder)"
        assert images == f"--max-images 2 leaves 1 image {made}; {end}; --max-images 3 is enough"
        facts = json.loads(shell.run("plan", *job, *limits, "--json").out)["budgets"]
        assert facts[1] == {
            "limit": "max_images", "value": 2, "used": 1, "needed": 2, "enough": "3", "left": 1, "fits": False
        }  # fmt: skip
        assert shell.run("run", *job, *limits).code == 6
