"""The demo in a terminal: a bar while it runs, tables that fit, and a Ctrl-C that leaves everything in order."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cnstra.demo.stores import Stores

from .terminal import run_in_terminal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo-terminals")

HEADER = "customer_id,date,quantity,amount\n"


@pytest.fixture
def orders_csv(tmp_path: Path) -> Path:
    path = tmp_path / "orders.csv"
    rows = [
        f"{n % 97 + 1},199{7 + n % 2}-{n % 12 + 1:02}-{n % 28 + 1:02},{n % 5 + 1},{n * 37 % 100_000 / 100:.2f}\n"
        for n in range(3000)
    ]
    path.write_text(HEADER + "".join(rows))
    return path


@pytest.mark.parametrize("columns", [20, 30, 40, 71, 72, 80, 120, 200])
def test_the_report_fits_the_terminal(columns: int, orders_csv: Path) -> None:
    session = run_in_terminal(["demo", "orders", "--orders", orders_csv], columns=columns)
    assert session.status == 0
    assert "3000/3000" in session.text
    # Tables and the chart; sentences may wrap.
    numbers = [line for line in session.lines if re.search(r"^1997-|^\s+\d+ .*\$|^ ?(Revenue|Orders|CDs) ", line)]
    assert len(numbers) >= 12
    assert max(map(len, numbers)) <= columns
    # Not one number was cut.
    assert "…" not in "".join(numbers)
    revenue = sum(n * 37 % 100_000 for n in range(3000))
    assert session.text.count(f"${revenue // 100:,}.{revenue % 100:02}") == 3


def test_a_bar_follows_the_run(orders_csv: Path) -> None:
    session = run_in_terminal(["demo", "orders", "--orders", orders_csv, "--batch", "50"], columns=100)
    counts = [int(n.replace(",", "")) for n in re.findall(r"([\d,]+)/3000", session.text)]
    assert counts == sorted(counts)
    assert counts[-1] == 3000
    # The cursor is hidden while the bar moves, and comes back.
    assert session.output.rindex("\x1b[?25h") > session.output.rindex("\x1b[?25l")


def test_problems_stand_above_the_bar(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(HEADER + "1,1997-01-01,1,1.00\nnon[red]sense\n" + "x\n" * 30)
    session = run_in_terminal(["demo", "orders", "--orders", path], columns=60)
    assert session.status == 0
    # Markup in a file is a piece of text.
    assert "orders.csv:3: skipped: 1 fields instead of 4: 'non[red]sense'" in session.text
    assert "… and 11 more lines" in session.text
    assert "31 malformed lines skipped" in session.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_both_stores_consistent_and_says_how_far_it_got(
    number: int, orders_csv: Path, tmp_path: Path
) -> None:
    sent: list[int] = []

    def once_it_runs(output: str) -> int | None:
        if not sent and re.search(r"[1-9]\d*/3000", output):
            sent.append(number)
            return number
        return None

    arguments = ["demo", "orders", "--orders", orders_csv, "--data", tmp_path / "stores", "--batch", "5"]
    session = run_in_terminal(arguments, when=once_it_runs)
    assert session.status == 128 + number
    found = re.search(r"Interrupted: ([\d,]+) of 3,000 lines done, ([\d,]+) orders? for (\$\S+) in both", session.text)
    assert found, session.text
    assert "Traceback" not in session.text
    assert "run the same command again to go on" in session.text
    with Stores(tmp_path / "stores") as stores:
        written = stores.write.totals()
        assert written == stores.view.customer_sums()
        assert written.orders == int(found[2].replace(",", "")) == int(found[1].replace(",", ""))
        assert 0 < written.orders < 3000
        assert written.orders % 5 == 0
    session = run_in_terminal([*arguments[:-1], 1000])
    assert session.status == 0
    assert f"Going on after line {written.orders + 1:,}" in session.text
    with Stores(tmp_path / "stores") as stores:
        assert stores.write.totals() == stores.view.customer_sums()
        assert stores.write.totals().orders == 3000


def test_a_second_interrupt_does_not_wait_for_the_end_of_the_batch(orders_csv: Path, tmp_path: Path) -> None:
    lines = orders_csv.read_text().splitlines(keepends=True)
    orders_csv.write_text(HEADER + "".join(lines[1:]) * 30)
    arguments = ["demo", "orders", "--orders", orders_csv, "--data", tmp_path / "stores", "--batch", "100000"]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, *map(str, arguments)], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "placing\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "asked\n"
    process.send_signal(signal.SIGINT)
    _, problems = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Interrupted: 0 of 90,000 lines done, 0 orders for $0.00 in both stores" in problems
    with Stores(tmp_path / "stores") as stores:
        assert stores.write.totals() == stores.view.customer_sums()
        assert stores.write.totals().orders == 0


# The command line with an order that takes as long as the test needs, and tells where it is.
SLOW = """
import os, signal, sys, time
# Whoever runs the tests in the background may have switched it off, and what is switched off stays off.
signal.signal(signal.SIGINT, signal.default_int_handler)
from cnstra.cli import main
from cnstra.cli.interrupts import Interrupts
from cnstra.demo.write_store import WriteStore

receive, place = Interrupts._receive, WriteStore.place

def tell(self, number, frame):
    first = self.received is None
    receive(self, number, frame)
    if first:
        # Not by print: the signal may arrive inside the other one, and a stream refuses to be written to from within.
        os.write(1, b"asked\\n")

def slow(self, command):
    if command.order_id == 100:
        os.write(1, b"placing\\n")
        time.sleep(60)
    return place(self, command)

Interrupts._receive, WriteStore.place = tell, slow
sys.exit(main(sys.argv[1:]))
"""


def test_without_a_terminal_there_is_no_bar(orders_csv: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cnstra", "demo", "orders", "--orders", orders_csv, "--batch", "100"],
        capture_output=True,
        timeout=100,
    )
    assert done.returncode == 0
    assert done.stderr == b""
    assert b"\x1b" not in done.stdout
    assert b"\r" not in done.stdout
    assert "Both stores, side by side" in done.stdout.decode()


def test_an_output_that_knows_only_ascii(orders_csv: Path) -> None:
    orders_csv.write_text(orders_csv.read_text() + "x\n" * 25)
    done = subprocess.run(
        [sys.executable, "-m", "cnstra", "demo", "orders", "--orders", orders_csv],
        env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        capture_output=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert done.stderr.isascii()
    assert b"1997-01 ####" in done.stdout


def test_colours_can_be_refused(orders_csv: Path) -> None:
    session = run_in_terminal(["demo", "orders", "--orders", orders_csv], env={"NO_COLOR": "1"})
    assert session.status == 0
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", session.output)


COMMANDS = ["demo orders --orders ORDERS", "graph cnstra.demo.orders:cns", "info", "--help", "--version"]


def in_shell(line: str, orders_csv: Path) -> subprocess.CompletedProcess[str]:
    line = line.replace("cnstra", f"{sys.executable} -m cnstra", 1).replace("ORDERS", str(orders_csv))
    return subprocess.run(["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_reader_that_has_gone_is_no_error(command: str, orders_csv: Path) -> None:
    done = in_shell(f"cnstra {command} | true", orders_csv)
    # What a program gets that does not ask for more; 0 if it was faster than its reader.
    assert done.returncode in (0, 141)
    assert done.stderr == ""


def test_a_reader_that_has_seen_enough_gets_its_lines(orders_csv: Path) -> None:
    done = in_shell("cnstra graph cnstra.demo.orders:cns --format json | head -n 1", orders_csv)
    assert done.stdout == "{\n"
    assert done.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("command", COMMANDS)
def test_an_output_that_cannot_be_written_is_said_in_one_line(command: str, orders_csv: Path) -> None:
    done = in_shell(f"cnstra {command} > /dev/full", orders_csv)
    assert done.returncode == 1
    assert done.stderr == "cnstra: error: standard output cannot be written: No space left on device\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_closed_standard_streams_are_fine(command: str, orders_csv: Path) -> None:
    for closed in (">&-", ">&- 2>&-", "<&- >&- 2>&-"):
        done = in_shell(f"cnstra {command} {closed}", orders_csv)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_nohup_is_respected(orders_csv: Path, tmp_path: Path) -> None:
    """A signal that was ignored before the start stays ignored."""
    script = (
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from cnstra.cli.interrupts import Interrupts\n"
        "with Interrupts() as interrupts:\n"
        "    signal.raise_signal(signal.SIGHUP)\n"
        "    assert interrupts.received is None\n"
        "    signal.raise_signal(signal.SIGTERM)\n"
        "    assert interrupts.received == signal.SIGTERM\n"
        "assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL\n"
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
