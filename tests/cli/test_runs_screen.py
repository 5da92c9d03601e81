"""``cnstra runs`` on a screen: tables and waterfalls that fit it, a watch that follows, a question before a removal."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from cnstra.cli.runs_show import Seen, overview
from cnstra.cli.runs_tables import runs_table
from cnstra.durable import Attempt, Run, Task

from .conftest import Shop
from .terminal import CONTROL, run_in_terminal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo-terminals")

NOW = 1_000_000.0
HEX = "0123456789abcdef0123456789abcdef"


def a_run(run_id: str, status: str = "completed", **more: Any) -> Run:
    values: dict[str, Any] = {
        "id": run_id,
        "status": status,
        "scope": None,
        "tags": (),
        "created": NOW - 4000,
        "updated": NOW - 100,
        "due": None,
        "owner": None,
        "lease_until": None,
        "attempt": 1,
        "hops": 12_345,
        "error": None,
        "fingerprint": "0" * 16,
        "cancel_requested": None,
        "entry": ({"collateral": "order", "payload": 1},),
    }
    return Run(**(values | more))


def a_task(seq: int, cause: int | None, status: str = "finished", **more: Any) -> Task:
    values: dict[str, Any] = {
        "seq": seq,
        "id": f"{seq:032x}",
        "cause": cause,
        "place": 0,
        "neuron": f"neuron-{seq}",
        "collateral": "collateral",
        "dendrite": 0,
        "hop": 1,
        "attempt": 1,
        "status": status,
        "input": None,
        "outputs": (),
        "error": None,
        "traceback": None,
        "started": NOW + seq,
        "duration": 1.0,
        "joined": (),
    }
    return Task(**(values | more))


def an_attempt(number: int, status: str, **more: Any) -> Attempt:
    values: dict[str, Any] = {"owner": "vm/0/0/7/0/0", "started": NOW, "ended": NOW + 1, "hops": 1, "error": None}
    return Attempt(number=number, status=status, **(values | more))  # type: ignore[arg-type]


def printed(width: int, *parts: Any, encoding: str = "utf-8") -> list[str]:
    """What a terminal of that width gets."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=stream, width=width)
    for part in parts:
        console.print(part(console) if callable(part) else part)
    stream.seek(0)
    return [line.rstrip() for line in stream.read().split("\n")]


def shown(
    tasks: Sequence[Task], *attempts: Attempt, width: int = 80, run: Run | None = None, encoding: str = "utf-8"
) -> list[str]:
    """A run as ``show`` prints it, from its waterfall on."""
    seen = Seen(run or a_run("order-1"), attempts or (an_attempt(1, "completed"),), tuple(tasks), None)
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=stream, width=width, highlight=False)
    for part in overview(seen, console, NOW + 60):
        console.print(part)
    stream.seek(0)
    lines = [line.rstrip() for line in stream.read().split("\n")]
    assert max(map(cell_len, lines)) <= width
    first = next(number for number, line in enumerate(lines) if line.lstrip().startswith("#"))
    return lines[first:]


# Tables


RUNS = [
    a_run(HEX),
    a_run("order-1", "failed", error="StimulationFailed: 2 things (2 sub-exceptions): ValueError: no more tea" * 9),
    a_run("order-2", "running", owner="a-machine/1/2/4711/5/6", lease_until=NOW + 9),
    a_run("order-3", "running", owner="a-machine/1/2/4712/5/6", lease_until=NOW - 9),
    a_run("order-4", "running", owner="other", lease_until=NOW + 9, cancel_requested="enough"),
    a_run("order-5", "running"),
    a_run("order-6", "scheduled", due=NOW + 7200),
    a_run("order-7", "scheduled", due=NOW - 7),
    a_run("order-8", "aborted", error="StimulationAborted: no longer wanted"),
]


@pytest.mark.parametrize("width", [20, 30, 40, 60, 80, 100, 120, 200])
def test_the_list_fits(width: int) -> None:
    lines = printed(width, lambda console: runs_table(RUNS, console, NOW))
    assert max(map(cell_len, lines)) <= width
    # An id may be copied from any terminal, from a narrow one in pieces.
    assert HEX in "".join(line.split(" ")[0] for line in lines)
    # Nothing else takes a second line.
    assert len(lines) in (len(RUNS) + 3, len(RUNS) + 4)


def test_what_the_list_says_of_runs() -> None:
    narrow = "\n".join(printed(80, lambda console: runs_table(RUNS[1:], console, NOW)))
    assert re.search(r"order-1 +failed .* ValueError: no more tea", narrow)
    assert re.search(r"order-2 +running .* a-machine/4711$", narrow, re.MULTILINE)
    assert re.search(r"order-3 +running .* a-machine/4712 \(gone\)$", narrow, re.MULTILINE)
    assert re.search(r"order-4 +running .* other, to be cancelled: enough$", narrow, re.MULTILINE)
    assert re.search(r"order-5 +running .* nobody$", narrow, re.MULTILINE)
    assert re.search(r"order-6 +scheduled +1 +12,345 +1h +due in 2h00m$", narrow, re.MULTILINE)
    assert re.search(r"order-7 +scheduled .* due for 7\.0s$", narrow, re.MULTILINE)
    assert re.search(r"order-8 +aborted +1 +12,345 +1h +1h05m +no longer wanted$", narrow, re.MULTILINE)
    wide = printed(120, lambda console: runs_table(RUNS, console, NOW))
    assert wide[0].split() == ["run", "status", "try", "hops", "age", "took", "owner", "note"]


# Waterfalls


def test_a_tree_of_causes() -> None:
    tasks = [a_task(1, 0), a_task(2, 0), a_task(3, 1), a_task(4, 1), a_task(5, 3), a_task(6, None)]
    lines = shown(tasks)
    assert [re.split(r"  +", line.strip())[1] for line in lines[2:8]] == [
        "✓ neuron-1 ← collateral",
        "├╴✓ neuron-3 ← collateral",
        "│ └╴✓ neuron-5 ← collateral",
        "└╴✓ neuron-4 ← collateral",
        "✓ neuron-2 ← collateral",
        "✓ neuron-6 ← collateral",
    ]


def test_bars_lie_where_tasks_lay() -> None:
    tasks = [a_task(1, 0, duration=2.0), a_task(2, 1, duration=0.0), a_task(3, 1, started=NOW + 9, duration=2.0)]
    lines = shown(tasks, width=120)
    start = lines[0].index("0 ")
    end = lines[0].index("10.0s") + len("10.0s")
    assert end - start == 60
    bars = [line[start:end] for line in lines[2:5]]
    assert bars[0].strip() == "━" * 12
    assert bars[0].startswith("━")
    # However short, there is something to see.
    assert bars[1].strip() == "╸"
    assert bars[1].index("╸") == 6
    assert bars[2].rstrip() == " " * 48 + "━" * 12
    assert [line.split()[-1] for line in lines[2:5]] == ["2.0s", "0.00ms", "2.0s"]


def test_each_attempt_has_its_own_time() -> None:
    tasks = [
        a_task(1, 0),
        a_task(2, 1, attempt=2, started=NOW + 5000, duration=0.01),
        a_task(3, 1, "aborted", attempt=2, started=NOW, duration=None),
    ]
    lines = shown(tasks, an_attempt(1, "lost"), an_attempt(2, "aborted"), an_attempt(3, "failed"))
    second = next(number for number, line in enumerate(lines) if line == "attempt 2 aborted")
    assert lines[0].split()[-2:] == ["1.0s", "took"]
    assert lines[second + 1].split()[-2:] == ["10ms", "took"]
    assert lines[second + 3].startswith("2  ✓ #1 → neuron-2 ← collateral  ━━━")
    # Of what was begun in another attempt, nobody knows how long that lasted.
    assert lines[second + 4] == "3  ■ #1 → neuron-3 ← collateral"
    assert lines[-2] == "2 finished ✓, 1 aborted ■"


def test_what_goes_on_lasts_until_now() -> None:
    alive = a_run("order-1", "running", owner="vm/0/0/7/0/0", lease_until=NOW + 90)
    tasks = [
        a_task(1, 0, started=NOW, duration=30.0),
        a_task(2, 1, "pending", started=NOW + 30, duration=None, attempt=2),
        a_task(3, 1, "pending", started=NOW, duration=None),
    ]
    lines = shown(tasks, an_attempt(1, "lost"), an_attempt(2, "running", ended=None), run=alive)
    second = next(number for number, line in enumerate(lines) if line == "attempt 2 running")
    assert lines[second + 3].split()[-1] == "30.0s"
    assert "○ #1 → neuron-2 ← collateral" in lines[second + 3]
    assert lines[second + 4] == "3  ○ #1 → neuron-3 ← collateral"
    # Whoever had it is gone: then nothing goes on.
    gone = a_run("order-1", "running", owner="vm/0/0/7/0/0", lease_until=NOW - 90)
    assert "30.0s" in shown(tasks[:2], an_attempt(1, "lost"), an_attempt(2, "running", ended=None), run=gone)[0]


def test_joins_and_dendrites() -> None:
    tasks = [
        a_task(1, 0, "joined", duration=None),
        a_task(2, 0, "joined", duration=None, started=None),
        a_task(3, 1, joined=(1, 2)),
        a_task(4, 3, dendrite=2),
    ]
    lines = shown(tasks, width=120)
    assert lines[2].startswith("1  » neuron-1 ← collateral")
    assert lines[3].startswith("3  └╴✓ neuron-3 ← collateral joins #1, #2")
    assert lines[4].startswith("4    └╴✓ neuron-4[2] ← collateral")
    assert lines[-2] == "2 finished ✓, 2 joined »"


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120])
def test_a_long_chain_of_causes(width: int) -> None:
    lines = shown([a_task(seq, seq - 1) for seq in range(1, 2001)], width=width)
    assert len(lines) == 2005
    last = lines[2001]
    assert re.match(r"2000  ⋯1999[ …]", last)


@pytest.mark.parametrize("width", [20, 40, 80])
def test_names_that_are_too_long_are_cut(width: int) -> None:
    tasks = [
        a_task(1, 0, neuron="n" * 300),
        a_task(2, 1, neuron="\x1b[2J\n日本" * 20),
        a_task(3, 0, collateral="é" * 99),
    ]
    lines = shown(tasks, width=width)
    assert all("…" in line for line in lines[2:5])
    assert "\x1b" not in "".join(lines)


def test_tasks_without_times() -> None:
    lines = shown([a_task(1, 0, "pending", started=None, duration=None)])
    assert lines[:3] == ["#  neuron                   took", "────────────────────────────────", lines[2]]
    assert lines[2] == "1  ○ neuron-1 ← collateral"


def test_ascii_alone() -> None:
    tasks = [a_task(1, 0), a_task(2, 1, "failed", neuron="né"), a_task(3, 1, "aborted"), a_task(4, 1, "pending")]
    text = "\n".join(shown(tasks, encoding="ascii"))
    assert text.isascii()
    assert "+- x n\\xe9 <- collateral" in text
    assert "`- o neuron-4 <- collateral" in text
    assert "=====" in text


# In a terminal


def test_colours_and_a_terminals_width(shop: Shop) -> None:
    shop.start("order-1")
    shop.fail("order-2")
    session = run_in_terminal(["runs", "list"], cwd=shop.folder)
    assert session.status == 0
    assert "\x1b[32mcompleted\x1b[0m" in session.output
    assert "\x1b[31mfailed   \x1b[0m" in session.output or "\x1b[31mfailed\x1b[0m" in session.output
    assert max(map(cell_len, session.lines)) <= 80
    session = run_in_terminal(["runs", "show", "order-2"], columns=60, cwd=shop.folder)
    assert "✗ billing ← order_placed" in session.text
    assert max(map(cell_len, session.lines)) <= 60


def once(pattern: str, answer: int | str) -> Any:
    """Answer what the terminal shows, once."""
    given: list[bool] = []

    def when(output: str) -> int | str | None:
        if not given and re.search(pattern, output):
            given.append(True)
            return answer
        return None

    return when


def test_watching_the_list(shop: Shop) -> None:
    shop.start(*(f"order-{number}" for number in range(1, 13)))
    session = run_in_terminal(
        ["runs", "watch", "--interval", "0.05"],
        rows=12,
        cwd=shop.folder,
        when=once(r"(?s)Ctrl-C ends.*Ctrl-C ends", signal.SIGINT),
    )
    assert session.status == 130
    # As much as there is room for: the newest, the oldest, and how many lie between.
    last = session.text[session.text.rindex("run       status") :].split("\n")
    assert len(last) <= 12
    assert last[2].startswith("order-12  completed")
    assert re.fullmatch(r"\(5 lines more\) *", last[3].replace("\r", ""))
    assert "every 50ms; Ctrl-C ends" in session.text
    assert "Interrupted" not in session.text
    assert session.output.rindex("\x1b[?25h") > session.output.rindex("\x1b[?25l")


def test_watching_a_run_to_its_end(shop: Shop) -> None:
    going = shop.begin("order-1")

    def when(output: str) -> None:
        if "○ courier ← order_paid" in CONTROL.sub("", output):
            (shop.folder / "slow").unlink(missing_ok=True)

    session = run_in_terminal(["runs", "watch", "order-1", "--interval", "0.05"], cwd=shop.folder, when=when)
    assert (session.status, going.wait(60)) == (0, 0)
    end = session.text[session.text.rindex("run      order-1") :]
    assert re.search(r"status +completed", end)
    assert "✓ courier ← order_paid" in end


@pytest.mark.parametrize(("answer", "left"), [("y\n", 0), ("n\n", 1), ("\n", 1), ("\x04", 1)])
def test_prune_asks_first(answer: str, left: int, shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    from cnstra.cli import main

    shop.start("order-1")
    session = run_in_terminal(
        ["runs", "prune", "--older-than", "0s", "--keep-last", "0"], cwd=shop.folder, when=once(r"\(n\)", answer)
    )
    asked = " ".join(session.text.split())
    assert "Remove from sqlite:///runs.db all runs that have ended, and did so more than 0s ago, but" in asked
    assert session.status == (1 if left else 0)
    assert ("cnstra: error: nothing was removed" if left else "1 run removed.") in session.text
    capsys.readouterr()
    assert main(["runs", "list"]) == 0
    assert ("order-1" in capsys.readouterr().out) == bool(left)


# Standard streams that are not what they should be


COMMANDS = ["runs list", "runs show order-1", "runs list --json", "runs clone order-1 --app their_shop:cns"]


def in_shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    line = line.replace("cnstra", f"{sys.executable} -m cnstra", 1)
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], env=os.environ | environment, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_a_reader_that_has_gone_is_no_error(command: str, shop: Shop) -> None:
    shop.start("order-1")
    done = in_shell(f"cnstra {command} | true")
    assert done.returncode in (0, 141)
    # What handlers print.
    assert done.stderr in ("", "paying 0\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("command", [*COMMANDS[:3], "runs watch order-1", "runs watch order-1 --json"])
def test_an_output_that_cannot_be_written_is_said_in_one_line(command: str, shop: Shop) -> None:
    shop.start("order-1")
    done = in_shell(f"cnstra {command} > /dev/full")
    assert (done.returncode, done.stderr) == (
        1,
        "cnstra: error: standard output cannot be written: No space left on device\n",
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_closed_standard_streams_are_fine(command: str, shop: Shop) -> None:
    shop.start("order-1")
    for closed in (">&-", ">&- 2>&-", "<&- >&- 2>&-"):
        done = in_shell(f"cnstra {command} {closed}")
        assert (done.returncode, done.stdout, done.stderr.removeprefix("paying 0\n")) == (0, "", "")
    assert in_shell("cnstra runs prune --keep-last 1 <&-").returncode == 2


def test_an_output_that_knows_only_ascii(shop: Shop) -> None:
    shop.start("order-1", "bestellung-ä-→")
    for command in ("runs list", "runs show order-1 --payloads", "runs list --json", "runs watch order-1"):
        done = in_shell(f"cnstra {command}", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.isascii()


def test_what_is_no_terminal_gets_whole_lines(shop: Shop) -> None:
    shop.fail("order-1")
    done = in_shell("cnstra runs list")
    assert done.stdout.splitlines()[2].rstrip().endswith("ValueError: card \\x1b[31mdeclined by the bank")
    assert "\x1b" not in done.stdout
    assert max(map(len, in_shell("cnstra runs list", COLUMNS="60").stdout.splitlines())) <= 60
