"""S9, S22: whole programs, in a process of their own, with every warning an error: nothing is said that is not meant.

They run in asyncio's debug mode and Python's development mode too, which look closely at what is left behind.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

import cnstra

START = """
    import asyncio, gc, sys, threading
    from cnstra import CNS, collateral, neuron

    go, result = collateral("go", int), collateral("result", int)

    async def forever(payload):
        await asyncio.Event().wait()

    async def nap(payload, axon):
        await asyncio.sleep(0)
        return axon.result.create_signal(payload)

    def graph(handler, **options):
        return CNS([
            neuron("worker", {"result": result}, **options).dendrite(collateral=go, response=handler),
            neuron("sink").dendrite(collateral=result, response=lambda payload: None),
        ])
"""

PROGRAMS = {
    "runs to the end": """
        async def main():
            cns = graph(nap, concurrency=2)
            await asyncio.gather(*[cns.stimulate(go.create_signal(i)) for i in range(10)])

        asyncio.run(main())
    """,
    "ends over a run whose handler waits": """
        async def main():
            graph(forever).stimulate(go.create_signal(1))

        asyncio.run(main())
    """,
    "ends over a run that waits for a slot": """
        async def main():
            cns = graph(forever, concurrency=1)
            cns.stimulate(go.create_signal(1))
            cns.stimulate(go.create_signal(2))

        asyncio.run(main())
    """,
    "ends over a run whose listener waits": """
        async def main():
            async def hear(response):
                await asyncio.Event().wait()

            graph(nap).stimulate(go.create_signal(1), on_response=hear)

        asyncio.run(main())
    """,
    "ends while worker threads work": """
        async def main():
            cns = graph(lambda payload: threading.Event().wait(0.05), offload=True)
            for i in range(3):
                cns.stimulate(go.create_signal(i))

        asyncio.run(main())
    """,
    "drops a stream": """
        async def main():
            stream = graph(forever).stream(go.create_signal(1))
            await anext(stream)
            del stream
            gc.collect()
            await asyncio.sleep(0)

        asyncio.run(main())
    """,
    "leaves a stream in the middle": """
        async def main():
            cns = graph(nap)
            async for response in cns.stream([go.create_signal(i) for i in range(10)], buffer=1):
                if response.hops == 1:
                    break
            async with cns.stream(go.create_signal(1)) as stream:
                await anext(stream)

        asyncio.run(main())
    """,
    "ends over a stream and a query": """
        async def main():
            cns = graph(forever)
            stream = cns.stream(go.create_signal(1))
            await anext(stream)
            task = asyncio.create_task(cns.query(go.create_signal(2), result))
            await asyncio.sleep(0)

        asyncio.run(main())
    """,
    "cancels runs": """
        async def main():
            cns = graph(forever)
            runs = [cns.stimulate(go.create_signal(i)) for i in range(5)]
            runs[0].cancel()
            await asyncio.sleep(0)
            for run in runs[1:]:
                run.cancel()
            await asyncio.gather(*runs, return_exceptions=True)

        asyncio.run(main())
    """,
    "has time limits": """
        async def main():
            slow = graph(forever, max_duration=0.01)
            await asyncio.gather(slow.stimulate(go.create_signal(1)), return_exceptions=True)
            await asyncio.gather(graph(forever).stimulate(go.create_signal(1), timeout=0.01), return_exceptions=True)

        asyncio.run(main())
    """,
    "observes its failures": """
        def fail(payload):
            raise ValueError("seen")

        async def main():
            cns = graph(fail)
            try:
                await cns.stimulate(go.create_signal(1))
            except* ValueError:
                pass
            cns.stimulate(go.create_signal(1)).exception()
            cns.stimulate(go.create_signal(1)).failed_tasks
            cns.stimulate(go.create_signal(1), on_response=lambda response: None)
            gc.collect()

        asyncio.run(main())
    """,
    "aborts runs that nobody awaits": """
        async def main():
            run = graph(forever, concurrency=1).stimulate([go.create_signal(1), go.create_signal(2)])
            run.abort()
            await asyncio.sleep(0)

        asyncio.run(main())
    """,
    "runs without a loop": """
        cns = graph(lambda payload, axon: axon.result.create_signal(payload), concurrency=1, offload=True)
        for i in range(5):
            cns.stimulate([go.create_signal(i)] * 3)
        cns = graph(nap)
        cns.run(go.create_signal(1))
        assert cns.run_query(go.create_signal(2), result) == 2
        cns.stimulate(go.create_signal(1)).exception()
    """,
    "keeps everything in globals until the interpreter ends": """
        async def main():
            global cns, run, stream
            cns = graph(nap)
            run = cns.stimulate(go.create_signal(1))
            await run
            stream = cns.stream(go.create_signal(1))
            async for response in stream:
                global last
                last = response

        asyncio.run(main())
    """,
    "stops and closes a loop by hand": """
        loop = asyncio.new_event_loop()
        cns = graph(nap)

        async def start():
            return cns.stimulate(go.create_signal(1))

        async def wait(run):
            await run

        run = loop.run_until_complete(start())
        loop.run_until_complete(wait(run))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
    """,
    "uses threads that come and go": """
        cns = graph(nap, concurrency=1)

        def work():
            cns.run(go.create_signal(1))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    """,
}


def execute(program: str, *flags: str) -> subprocess.CompletedProcess[str]:
    source = textwrap.dedent(START) + textwrap.dedent(program) + "\nprint('done')\n"
    return subprocess.run(
        [sys.executable, "-W", "error", *flags, "-c", source],
        env={**os.environ, "CNSTRA_ENGINE": cnstra.engine},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("mode", ["plain", "dev"])
@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_a_program_that(program: str, mode: str) -> None:
    flags = ["-X", "dev"] if mode == "dev" else []
    done = execute(program, *flags)
    assert (done.stdout, done.stderr, done.returncode) == ("done\n", "", 0)


def test_a_failure_that_nobody_saw_is_logged_at_the_latest_when_the_interpreter_ends() -> None:
    done = execute(
        """
        def fail(payload):
            raise ValueError("unseen")

        kept = graph(fail).stimulate(go.create_signal(1))
        """
    )
    assert done.stdout == "done\n"
    assert done.returncode == 0
    assert "a run failed and nobody looked at it" in done.stderr
    assert "ValueError: unseen" in done.stderr
    assert "in fail" in done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_failure_that_is_part_of_a_cycle_at_the_end_is_no_noise() -> None:
    """The interpreter may be past logging by then; it must not be past keeping quiet."""
    done = execute(
        """
        def fail(payload):
            raise ValueError("unseen")

        kept = [graph(fail).stimulate(go.create_signal(1))]
        kept.append(kept)
        sys.modules["keeper"] = kept
        """
    )
    assert done.stdout == "done\n"
    assert "Exception ignored" not in done.stderr
