"""When a run is written, how often, and what its listeners hear of that (promises 2 and 3)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from cnstra import CNS, Axon, Collateral, Response, Signal, StimulationAborted, StimulationFailed, collateral, neuron
from cnstra.durable import Durable, Store
from cnstra.durable.port import Increment

from .crashing import Death, MortalStore, SlowMortalStore
from .shop import ALL, Shop


class GatedStore(SlowMortalStore):
    """Its commits are made while its gate is open."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner, lease=30)
        self.gate = asyncio.Event()

    async def commit(self, batch: Sequence[Increment]) -> frozenset[int]:
        await self.gate.wait()
        return await super().commit(batch)


async def passes(count: int = 20) -> None:
    """Let the loop go round."""
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize("sync", ["turn", "hop", "end"])
def test_a_run_has_ended_when_that_is_written(sync: Any) -> None:
    async def main() -> None:
        shop, store = Shop(), GatedStore(Store.open("memory://"))
        async with Durable(shop.cns, store, sync=sync) as durable:
            run = await durable.start(shop.order(), run_id="o1")
            await passes()
            if sync != "hop":
                assert run.stimulation is not None
                assert run.stimulation.done()
            assert not run.done()
            assert (await durable.run("o1")).status == "running"
            waiting = asyncio.ensure_future(run._wait())
            await passes()
            assert not waiting.done()
            store.gate.set()
            await waiting
            assert run.outcome == "completed"
            assert (await durable.run("o1")).status == "completed"

    asyncio.run(main())


def test_hop_waits_for_the_commit_of_the_cause_and_turn_does_not() -> None:
    async def started_before_the_first_commit(sync: Any) -> list[str]:
        shop, store = Shop(), GatedStore(Store.open("memory://"))
        started: list[str] = []

        async def note(who: str, attempt: int) -> None:
            started.append(who)

        shop.on_call = note
        async with Durable(shop.cns, store, sync=sync) as durable:
            run = await durable.start(shop.order())
            await passes()
            before = [*started]
            store.gate.set()
            await run
        assert shop.done() == ALL
        return before

    for sync, started in (("hop", ["shop"]), ("turn", ["shop", "post", "post", "books"]), ("end", None)):
        before = asyncio.run(started_before_the_first_commit(sync))
        assert started is None or before == started, sync


def test_end_writes_twice() -> None:
    async def writes(sync: Any) -> int:
        shop, store = Shop(), MortalStore(Store.open("memory://"), lease=30)
        async with Durable(shop.cns, store, sync=sync, commit_interval=0) as durable:
            await (await durable.start(shop.order()))
        return store.writes

    assert asyncio.run(writes("end")) == 2
    assert asyncio.run(writes("turn")) > 2


@pytest.mark.parametrize("kind", [MortalStore, SlowMortalStore])
def test_the_runs_of_a_pass_share_their_commits(kind: type[MortalStore]) -> None:
    async def main() -> None:
        shop, store = Shop(), kind(Store.open("memory://"), lease=30)
        async with Durable(shop.cns, store, commit_interval=0) as durable:
            runs = await asyncio.gather(*(durable.start(shop.order(f"o{number}")) for number in range(100)))
            await asyncio.gather(*runs)
            assert len((await durable.runs(status="completed")).items) == 100
        # Each run has three turns at least: its start, and those in which its handlers come back.
        assert len(store.commits) < 15
        assert max(map(len, store.commits)) == 100

    asyncio.run(main())


def test_turns_in_quick_succession_share_a_commit() -> None:
    class Steps(Axon[int]):
        step: Collateral[int]

    async def commits(interval: float) -> int:
        axon = Steps()
        walker = neuron("walker", axon)

        @walker.dendrite(axon.step)
        async def on_step(left: int) -> Signal[int] | None:
            await asyncio.sleep(0)
            return axon.step.create_signal(left - 1) if left else None

        store = MortalStore(Store.open("memory://"), lease=30)
        async with Durable(CNS([walker]), store, commit_interval=interval) as durable:
            await (await durable.start(axon.step.create_signal(50)))
        return len(store.commits)

    assert asyncio.run(commits(0)) > 50
    assert asyncio.run(commits(1000)) == 2


def test_an_aborted_run_does_not_wait_for_others_to_share_its_commit() -> None:
    async def main() -> None:
        shop, never = Shop(), asyncio.Event()

        async def hold(who: str, attempt: int) -> None:
            await never.wait()

        shop.on_call = hold
        async with Durable(shop.cns, Store.open("memory://"), commit_interval=1000) as durable:
            run = await durable.start(shop.order(), run_id="o1", concurrency=1)
            await passes()
            await run.cancel("enough")
            with pytest.raises(StimulationAborted, match="enough"):
                await asyncio.wait_for(run._wait(), 5)
            assert (await durable.run("o1")).status == "aborted"

    asyncio.run(main())


def test_a_great_fan_out_waits_for_a_commit_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnstra.durable.live._BACKLOG", 10)

    class Works(Axon[int]):
        work: Collateral[int]

    async def main() -> None:
        job, axon, done = collateral("job", int), Works(), Counter[int]()
        boss = neuron("boss", axon)
        worker = neuron("worker").dendrite(collateral=axon.work, response=lambda number: done.update([number]))

        @boss.dendrite(job)
        def on_job(count: int) -> list[Signal[int]]:
            return [axon.work.create_signal(number) for number in range(count)]

        store = MortalStore(Store.open("memory://"), lease=30)
        async with Durable(CNS([boss, worker]), store) as durable:
            await (await durable.start(job.create_signal(100)))
        assert set(done.values()) == {1}
        assert len(done) == 100
        # All of them were noted before the first of those that had to wait was started.
        assert max(len(increment.added) for batch in store.commits for increment in batch) == 101
        assert len(store.commits) > 1

    asyncio.run(main())


# -- listeners


def heard(response: Response) -> tuple[str, str | None]:
    neuron_ = "entry" if response.neuron is None else response.neuron.name
    return neuron_, None if response.output_signal is None else response.output_signal.collateral_name


def test_a_recovered_run_has_the_global_listeners_and_committed_responses_are_no_news() -> None:
    async def main() -> None:
        shop, memory = Shop(), Store.open("memory://")
        responses: list[tuple[str, str | None]] = []
        drains: list[int] = []
        shop.cns.add_response_listener(lambda response: responses.append(heard(response)))
        shop.cns.add_drain_listener(lambda drain: drains.append(drain.queue_length))
        # Created, the turn of the start, the turn in which the shop comes back.
        async with Durable(shop.cns, MortalStore(memory, Death(3, "after")), sync="hop", commit_interval=0) as durable:
            run = await durable.start(shop.order(), run_id="o1")
            with pytest.raises(StimulationAborted):
                await run
        first = [("entry", "place"), ("shop", "packed"), ("shop", "packed"), ("shop", "invoiced")]
        assert [one for one in responses if one[0] in ("entry", "shop")] == first
        responses.clear()
        drains.clear()
        async with Durable(shop.cns, memory) as durable:
            (run,) = await durable.recover()
            await run
        # What had been announced and was not committed is announced again.
        assert sorted(responses, key=str) == [("books", None), ("post", None), ("post", None)]
        assert drains[-1] == 0

    asyncio.run(main())


def test_a_listener_that_fails_fails_the_run_and_retry_completes_it() -> None:
    async def main() -> None:
        shop = Shop()

        def fail(response: Response) -> None:
            raise OSError("no line to the dashboard")

        forget = shop.cns.add_response_listener(fail)
        async with Durable(shop.cns, Store.open("memory://")) as durable:
            with pytest.raises(StimulationFailed):
                await (await durable.start(shop.order(), run_id="o1"))
            row = await durable.run("o1")
            assert row.status == "failed"
            assert row.error is not None
            assert "no line" in row.error
            assert {task.status for task in (await durable.tasks("o1")).items} == {"finished"}
            forget()
            await (await durable.retry("o1"))
            assert (await durable.run("o1")).status == "completed"
        assert shop.done() == ALL

    asyncio.run(main())
