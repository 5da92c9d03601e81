"""What cnstra costs: in time, in memory, and in instructions. README.md says how to run and how to read it.

What the benches are made of, from the bottom up; nothing imports what stands below it here:

    bare            the bare loop, in Rust: what the engine is compared with
    graphs          the graphs: a chain, a fan, a ring
    witness         sees what handlers were given and what they returned, without slowing down what is timed
    timing          what a piece of work is, and how several are timed in turn
    works           the engine at work on the graphs
    environment     what it all ran on
    cases           the cases: what is compared with what, and how much it may cost
    ratios          the table of the cases: ``make bench``
    growth          cost per hop over the size of things, memory, and import: ``make bench-growth``
    counts          CPU instructions, compared with those in counts.json: ``make bench-counts``
    eager_tasks     first steps beside asyncio's eager tasks, from Python 3.12 on
    stable_abi      what the stable ABI would cost a call: ``make bench-abi3``
    test_times      absolute times, by pytest-benchmark: ``make bench-times``

``durable`` is about durable runs, with files of its own: ``make bench-durable``. ``peers`` stands by itself: cnstra
beside other libraries, in an environment of their own.
"""
