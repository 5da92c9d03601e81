"""The benches do what they say: every case shows its results, and what is kept is in order. No time is looked at."""

from __future__ import annotations

import asyncio
import json
import math
import re
from dataclasses import replace

import pytest
from tests.durable.postgres import postgres_url

from benches import counted, counts, graphs, growth
from benches.case import TINY, Claim
from benches.cases import CASES, NEED_BARE, bare_is_built
from benches.cqrs import commands
from benches.durable import rounds, turns
from benches.durable.comparisons import COMPARISONS, NEED_POSTGRES
from benches.ratios import Result, table
from benches.timing import Pace, in_turn, run_check
from benches.witness import Witness
from benches.works import stimulated

pytestmark = pytest.mark.once

# What was promised: how many times as long as its rival each may take; native against pure Python, how much less.
LIMITS = {
    "chain": 1.5,
    "fan_out": 1.4,
    "one_run": 6,
    "listener": 4,
    "async_chain": 4,
    "suspended": 1.3,
    "crowd": 1.3,
    "resume": 2,
    "building": 0.5,
    "many_neurons": 3,
    "engines": 12,
}

# The same of turns of durable runs, by what they are compared in.
TURNS = {
    "sqlite": {
        "sqlite commit": rounds.NO_LIMIT,
        "sqlite turn": 2.5,
        "sqlite hop": rounds.NO_LIMIT,
        "sqlite crowd": 2.5,
    },
    "postgres": {"postgres hop": 1.5, "postgres turn": 1.5, "postgres crowd": 1.5},
    "frontier": {"SQLite frontier of 30": 1.3},
    "postgres_frontier": {"PostgreSQL frontier of 30": 1.3},
}


@pytest.mark.parametrize("key", LIMITS)
def test_both_sides_of_a_case_show_their_results(key: str) -> None:
    if key in NEED_BARE and not bare_is_built():
        pytest.skip("benches/bare is not built for this Python: make bench builds it")
    case = CASES[key](TINY)
    assert (case.claim.limit, case.claim.faster) == (LIMITS[key], key == "engines")
    with asyncio.Runner() as runner:
        for work in (case.rival, case.subject):
            run_check(work, runner)
            assert work.units > 0


def test_the_table_is_complete() -> None:
    assert set(CASES) == set(LIMITS)
    assert set(CASES) > NEED_BARE


def test_a_wrong_result_is_seen() -> None:
    chain = graphs.chain(5)
    stimulated(chain).check()
    for wrong in (
        replace(chain, collaterals=chain.collaterals[::-1]),
        replace(chain, signal=chain.collaterals[2].create_signal(1)),
    ):
        with pytest.raises(AssertionError):
            stimulated(wrong).check()


def test_a_witness_sees_arguments_and_results() -> None:
    def double(number: int) -> int:
        return 2 * number

    with Witness(double) as seen:
        assert double(1) + double(2) == 6
    double(3)
    assert (seen.payloads, seen.results) == ([1, 2], [2, 4])


def test_works_are_timed_in_turn() -> None:
    chain = stimulated(graphs.chain(5))
    with asyncio.Runner() as runner:
        times = in_turn([chain, chain], runner, Pace(measurement=0, seconds=0, least=2, most=2))
    assert [len(rounds) for rounds in times] == [2, 2]


def test_a_ratio_knows_which_way_round_it_is() -> None:
    slower = Result("a", Claim("a", "b", "hop", limit=2), subject=[30.0, 10.0], rival=[10.0, 10.0])
    assert (slower.ratios, slower.ratio, slower.ok) == ([3, 1], 2, True)
    faster = replace(slower, claim=Claim("a", "b", "hop", limit=2, faster=True))
    assert faster.ratio == pytest.approx(2 / 3)
    assert not faster.ok
    assert [line.split("|")[-2].strip() for line in table([slower, faster]).splitlines()[2:]] == ["yes", "NO"]


@pytest.mark.parametrize("key", TURNS)
def test_turns_of_durable_runs_show_their_results(key: str) -> None:
    if key in NEED_POSTGRES:
        postgres_url()  # skips if there is no server
    measured = asyncio.run(turns.measure(key, rounds.TINY))
    assert {one.side.key: one.side.claim.limit for one in measured} == TURNS[key]
    for one in measured:
        assert (len(one.subject), len(one.rival), len(one.engine)) == (1, 1, 1)
        assert min(*one.subject, *one.rival, *one.engine) > 0


def test_commands_show_their_results() -> None:
    for case in commands.CASES:
        measured = commands.measure(replace(case, commands=case.at_once), 1)
        assert min(*measured.ours, *measured.package) > 0
        assert replace(measured, ours=[13.0], package=[10.0]).ok
        assert not replace(measured, ours=[13.1], package=[10.0]).ok


def test_the_table_of_turns_is_complete() -> None:
    assert set(COMPARISONS) == set(TURNS)
    assert set(COMPARISONS) > NEED_POSTGRES


async def nothing() -> float:
    return 1.0


@pytest.mark.parametrize(("limit", "verdict"), [(2.0, "yes"), (1.2, "NO"), (rounds.NO_LIMIT, "–")])
def test_a_turn_that_is_too_dear_is_told(limit: float, verdict: str) -> None:
    side = rounds.Side("a", Claim("a", "b", "turn", limit), nothing, nothing, 1)
    measured = rounds.Measured(side, subject=[15.0, 30.0, 15.0], rival=[10.0, 10.0, 10.0], engine=[5.0, 5.0, 5.0])
    assert measured.result.ratio == 1.5
    assert measured.result.ok == (verdict != "NO")
    assert turns.table([measured]).splitlines()[-1].split("|")[-2].strip() == verdict


@pytest.mark.parametrize("hops", [1, 25])
def test_a_ring_ends_when_its_number_is_used_up(hops: int) -> None:
    spent: list[int] = []
    ring = graphs.ring(10, graphs.spender(spent))
    growth.around(ring, spent, hops).check()


@pytest.mark.parametrize("name", counted.WORK)
def test_what_is_counted_shows_its_results(name: str) -> None:
    counted.WORK[name].make()(1)


def test_the_counts_that_are_kept_are_well_formed() -> None:
    kept = json.loads(counts.KEPT.read_text(encoding="utf-8"))
    assert isinstance(kept, dict)
    form = r"CPython 3\.\d+\.\d+\w*, rustc \d+\.\d+\.\d+, \w+"
    assert re.fullmatch(form, counts.environment_key().replace("unknown", "0.0.0"))
    for key, figures in kept.items():
        assert re.fullmatch(form, key)
        assert set(figures) == set(counted.WORK)
        assert all(math.isfinite(figure) and figure > 0 for figure in figures.values())
