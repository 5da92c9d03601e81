"""``cnstra runs``: what the commands print and do, on real SQLite files, and every mistake as one line."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cnstra.cli import main

from .conftest import Shop

Capture = pytest.CaptureFixture[str]

APP = "their_shop:cns"
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def run(capsys: Capture, *arguments: object, status: int = 0) -> str:
    """What a command prints."""
    capsys.readouterr()
    assert main(["runs", *map(str, arguments)]) == status, capsys.readouterr()
    return capsys.readouterr().out


def document(capsys: Capture, *arguments: object) -> Any:
    """The JSON document that a command prints."""
    return json.loads(run(capsys, *arguments, "--json"))


def error_of(capsys: Capture, *arguments: object, status: int = 1) -> str:
    """The one line that a command says when it fails."""
    capsys.readouterr()
    assert main(["runs", *map(str, arguments)]) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert lines[-1].startswith("cnstra: error: ")
    # What handlers print goes there too, and nothing else does.
    assert all(line.startswith("paying ") for line in lines[:-1])
    return lines[-1].removeprefix("cnstra: error: ")


def ids(capsys: Capture, *arguments: object) -> list[str]:
    return [one["id"] for one in document(capsys, "list", *arguments)["runs"]]


def process(shop: Shop, *arguments: object) -> subprocess.Popen[str]:
    # Whoever runs the tests in the background may have switched it off, and what is switched off stays off.
    script = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from cnstra.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", script, "runs", *map(str, arguments)],
        cwd=shop.folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


# list


def test_the_list(shop: Shop, capsys: Capture) -> None:
    shop.start("order-1", "order-2", scope="shop", tags=["web", "new"])
    shop.fail("order-3")
    shop.module.schedule("later", time.time() + 90_000)
    lines = run(capsys, "list").splitlines()
    assert lines[0].split() == ["run", "status", "try", "hops", "age", "took", "note"]
    assert [line.split()[:3] for line in lines[2:]] == [
        ["later", "scheduled", "0"],
        ["order-3", "failed", "1"],
        ["order-2", "completed", "1"],
        ["order-1", "completed", "1"],
    ]
    assert "due in 1d" in lines[2]
    # One line, of which no part is a command to the terminal.
    assert lines[3].rstrip().endswith("ValueError: card \\x1b[31mdeclined by the bank")


def test_filters_and_pages_of_the_list(shop: Shop, capsys: Capture) -> None:
    shop.start("order-1", "order-2", scope="shop", tags=["web", "new"])
    shop.fail("order-3", "order-4")
    assert ids(capsys, "--status", "failed") == ["order-4", "order-3"]
    assert ids(capsys, "--scope", "shop") == ["order-2", "order-1"]
    assert ids(capsys, "--tag", "new", "--status", "completed") == ["order-2", "order-1"]
    assert ids(capsys, "--scope", "nowhere") == []
    assert run(capsys, "list", "--scope", "nowhere") == "No runs.\n"
    page = document(capsys, "list", "--limit", 3)
    assert [one["id"] for one in page["runs"]] == ["order-4", "order-3", "order-2"]
    assert ids(capsys, "--cursor", page["cursor"]) == ["order-1"]
    assert document(capsys, "list", "--cursor", page["cursor"])["cursor"] is None
    assert run(capsys, "list", "--limit", 3).endswith(f"\nOlder ones: --cursor {page['cursor']}\n")


@pytest.mark.parametrize(("since", "count"), [("1h", 1), ("1.5d", 1), ("2020-01-01", 1), ("2999-01-01", 0)])
def test_since(since: str, count: int, shop: Shop, capsys: Capture) -> None:
    shop.start("order-1")
    assert len(ids(capsys, "--since", since)) == count


def test_since_a_moment(shop: Shop, capsys: Capture) -> None:
    shop.start("order-1")
    created = datetime.fromisoformat(document(capsys, "list")["runs"][0]["created"])
    assert abs(datetime.now(UTC) - created).total_seconds() < 60
    # To the millisecond, which is what the clock of SQLite has.
    assert len(ids(capsys, "--since", created.isoformat())) <= 1
    assert len(ids(capsys, "--since", f"{created.timestamp() - 1}s")) == 1
    assert ids(capsys, "--since", datetime.fromtimestamp(created.timestamp() + 1).astimezone().isoformat()) == []


def test_the_list_for_programs(shop: Shop, capsys: Capture) -> None:
    shop.start("order-1", scope="shop", tags=["web"])
    (found,) = document(capsys, "list")["runs"]
    assert ISO.fullmatch(found.pop("created"))
    assert ISO.fullmatch(found.pop("updated"))
    assert re.fullmatch("[0-9a-f]{16}", found.pop("fingerprint"))
    assert found == {
        "id": "order-1",
        "status": "completed",
        "scope": "shop",
        "tags": ["web"],
        "due": None,
        "owner": None,
        "lease_until": None,
        "attempt": 1,
        "hops": 2,
        "error": None,
        "cancel_requested": None,
        "entry": [{"collateral": "order_placed"}],
    }


# show


def test_a_run_is_shown(shop: Shop, capsys: Capture) -> None:
    shop.start("order-1", scope="shop", tags=["web", "new"])
    text = run(capsys, "show", "order-1")
    assert re.search(r"^status +completed *$", text, re.MULTILINE)
    assert re.search(r"^tags +web, new *$", text, re.MULTILINE)
    assert re.search(r"^entry +order_placed *$", text, re.MULTILINE)
    assert re.search(r"^ +1 +completed +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", text, re.MULTILINE)
    assert re.search(r"^1  ✓ billing ← order_placed ", text, re.MULTILINE)
    assert re.search(r"^2  └╴✓ courier ← order_paid ", text, re.MULTILINE)
    assert text.endswith("\n2 finished ✓\n")
    assert "secret" not in text


def test_what_failed_is_shown_with_its_error(shop: Shop, capsys: Capture) -> None:
    shop.fail("order-1")
    text = run(capsys, "show", "order-1")
    assert "✗ billing ← order_placed" in text
    assert "\n1 failed ✗\n" in text
    assert "#1 billing ← order_placed: ValueError: card \\x1b[31mdeclined by the bank\n" in text
    assert "Traceback" not in text
    assert "\x1b" not in text
    text = run(capsys, "show", "order-1", "--traceback")
    assert "  Traceback (most recent call last):" in text
    assert 'raise ValueError("card' in text
    assert "\x1b" not in text
    (task,) = document(capsys, "show", "order-1")["tasks"]
    assert task["error"].startswith("ValueError: card ")
    assert task["traceback"].startswith("Traceback")


def test_payloads_are_shown_if_they_are_asked_for(shop: Shop, capsys: Capture) -> None:
    shop.start("order-1")
    text = run(capsys, "show", "order-1", "--payloads")
    assert "\nentry → order_placed {" in text
    assert "#1 → order_paid 0\n#2 ← order_paid 0\n" in text
    assert '#2 → parcel_sent "parcel 0"\n' in text
    assert '"number": 0' in run(capsys, "show", "order-1", "--payloads", "--app", APP)
    # A Durable knows what is nobody's business.
    redacted = run(capsys, "show", "order-1", "--payloads", "--app", "their_shop:make_durable")
    assert '"number": "[redacted]"' in redacted


def test_a_run_for_programs(shop: Shop, capsys: Capture) -> None:
    shop.start("order-1")
    found = document(capsys, "show", "order-1")
    assert set(found) == {"run", "attempts", "tasks", "more"}
    assert found["run"] == document(capsys, "list")["runs"][0]
    (attempt,) = found["attempts"]
    assert (attempt["number"], attempt["status"]) == (1, "completed")
    assert ISO.fullmatch(attempt["ended"])
    first, second = found["tasks"]
    assert (first["seq"], first["cause"], second["seq"], second["cause"]) == (1, 0, 2, 1)
    assert ISO.fullmatch(second["started"])
    assert second["outputs"] == [{"collateral": "parcel_sent"}]
    assert "input" not in second
    assert found["more"] is False
    found = document(capsys, "show", "order-1", "--payloads", "--app", APP)
    assert found["run"]["entry"] == [{"collateral": "order_placed", "payload": {"number": 0, "key": "<6 bytes>"}}]
    assert found["tasks"][1]["input"] == 0
    assert found["tasks"][1]["outputs"] == [{"collateral": "parcel_sent", "payload": "parcel 0"}]


def test_not_all_tasks(shop: Shop, capsys: Capture) -> None:
    shop.start("order-1")
    text = run(capsys, "show", "order-1", "--limit", 1)
    assert "courier" not in text
    assert text.endswith("1 of its tasks, and there are more: 1 finished ✓\n")
    found = document(capsys, "show", "order-1", "--limit", 1)
    assert (len(found["tasks"]), found["more"]) == (1, True)


def test_a_run_that_goes_on(shop: Shop, capsys: Capture) -> None:
    going = shop.begin("order-1")
    (line,) = run(capsys, "list").splitlines()[2:]
    assert line.split()[1] == "running"
    assert line.rstrip().endswith(f"/{going.pid}")
    text = run(capsys, "show", "order-1")
    assert re.search(r"^lease .* in \d", text, re.MULTILINE)
    assert re.search(r"^2  └╴○ courier ← order_paid ", text, re.MULTILINE)
    assert "1 finished ✓, 1 pending ○" in text
    (shop.folder / "slow").unlink()
    assert going.wait(60) == 0


def test_what_looks_like_markup_is_text(shop: Shop, capsys: Capture) -> None:
    shop.start("[bold]order[/]", scope="[/nothing]", tags=["[red]", ":smile:"])
    assert "[bold]order[/]  completed" in run(capsys, "list")
    text = run(capsys, "show", "[bold]order[/]", "--payloads")
    assert re.search(r"^scope +\[/nothing\] *$", text, re.MULTILINE)
    assert re.search(r"^tags +\[red\], :smile: *$", text, re.MULTILINE)


def test_a_due_date_that_is_none(shop: Shop, capsys: Capture) -> None:
    shop.module.schedule("order-1", 1e15)
    assert document(capsys, "list")["runs"][0]["due"] is None
    assert "due in" in run(capsys, "list")
    assert re.search(r"^due +in no calendar, in ", run(capsys, "show", "order-1"), re.MULTILINE)


# retry and clone


def test_retry(shop: Shop, capsys: Capture) -> None:
    shop.fail("order-1", "order-2")
    text = run(capsys, "retry", "order-1", "--app", APP)
    assert re.fullmatch(r"order-1 completed in attempt 2, \S+ after it was recorded\n", text)
    assert shop.run("order-1", capsys)["run"]["status"] == "completed"
    text = run(capsys, "show", "order-1")
    assert "\nattempt 2 completed\n" in text
    # One attempt had failed, and that is said where the attempts are.
    assert re.search(r"^ +1 +failed .* ValueError: card", text, re.MULTILINE)
    with shop.mode("declined"):
        assert main(["runs", "retry", "order-2", "--app", APP]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("paying 1\ncnstra: error: run 'order-2' failed in attempt 2, ")
    assert captured.err.endswith("ValueError: card \\x1b[31mdeclined by the bank\n")


def test_retry_for_programs(shop: Shop, capsys: Capture) -> None:
    shop.fail("order-1", "order-2")
    # What handlers print is no part of it.
    assert document(capsys, "retry", "order-1", "--app", APP)["run"]["status"] == "completed"
    with shop.mode("declined"):
        assert main(["runs", "retry", "order-2", "--app", APP, "--json"]) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out)["run"]["status"] == "failed"
    assert captured.err.startswith("paying 1\ncnstra: error: run 'order-2' failed in attempt 2, ")


def test_what_cannot_be_retried(shop: Shop, capsys: Capture) -> None:
    shop.start("order-1")
    message = error_of(capsys, "retry", "order-1", "--app", APP)
    assert message == "run 'order-1' is completed: only one that has failed or was aborted can be retried"
    assert error_of(capsys, "retry", "order-2", "--app", APP) == "there is no run 'order-2' in sqlite:///runs.db"


def test_clone(shop: Shop, capsys: Capture) -> None:
    shop.start("order-1", scope="shop")
    text = run(capsys, "clone", "order-1", "order-2", "--app", APP)
    assert "order-2 completed in attempt 1, " in text
    assert shop.run("order-2", capsys)["run"]["scope"] == "shop"
    made_up = document(capsys, "clone", "order-1", "--app", APP)["run"]["id"]
    assert ids(capsys) == [made_up, "order-2", "order-1"]
    assert error_of(capsys, "clone", "order-1", "order-2", "--app", APP) == (
        "run 'order-2' exists: choose another id for the clone of 'order-1'"
    )


@pytest.mark.parametrize("command", ["retry", "clone"])
def test_a_signal_lets_go_of_the_run(command: str, shop: Shop, capsys: Capture) -> None:
    shop.fail("order-1")
    (shop.folder / "slow").touch()
    going = process(shop, command, "order-1", *(["order-2"] if command == "clone" else []), "--app", APP)
    shop.wait_for("sending")
    going.send_signal(signal.SIGINT)
    _, problems = going.communicate(timeout=60)
    assert going.returncode == 130
    name = "order-2" if command == "clone" else "order-1"
    assert (
        problems.removeprefix("paying 0\n")
        == f"Interrupted: run {name!r} is let go of; cnstra runs recover continues it.\n"
    )
    found = shop.run(name, capsys)
    assert (found["run"]["status"], found["run"]["owner"]) == ("running", None)
    assert found["attempts"][-1]["status"] == "released"
    assert "nobody" in run(capsys, "list")
    (shop.folder / "slow").unlink()
    assert f"{name} completed in attempt " in run(capsys, "recover", "--app", APP)


# recover


def test_recover(shop: Shop, capsys: Capture) -> None:
    shop.crash("order-1")
    shop.module.schedule("order-2", time.time() - 1)
    text = run(capsys, "recover", "--app", APP)
    assert {line.split()[0] for line in text.splitlines()} == {"order-1", "order-2"}
    assert "order-1 completed in attempt 2, " in text
    assert shop.run("order-1", capsys)["attempts"][0]["status"] == "lost"
    assert run(capsys, "recover", "--app", APP) == "Nothing to recover.\n"
    assert document(capsys, "recover", "--app", APP) == {"runs": []}


def test_recovered_runs_that_fail(shop: Shop, capsys: Capture) -> None:
    shop.module.schedule("order-1", time.time() - 1)
    with shop.mode("declined"):
        assert main(["runs", "recover", "--app", APP, "--json"]) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out)["runs"][0]["status"] == "failed"
    assert captured.err.endswith("cnstra: error: 1 of 1 recovered runs did not complete\n")


def test_runs_that_the_graph_does_not_fit_wait_untouched(shop: Shop, capsys: Capture) -> None:
    shop.crash("order-1")
    shop.module.schedule("order-2", time.time() - 1)
    assert main(["runs", "recover", "--app", "their_shop:without_courier"]) == 1
    captured = capsys.readouterr()
    assert "the graph has changed: run 'order-1' needs neuron 'courier'" in captured.err
    assert captured.err.count("\n") == 2
    # The other one went on.
    assert shop.run("order-2", capsys)["run"]["status"] == "completed"
    assert shop.run("order-1", capsys)["run"]["attempt"] == 1
    message = error_of(capsys, "retry", "order-1", "--app", "their_shop:without_courier")
    assert "only one that has failed" in message


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_recover_again_and_again(number: int, shop: Shop, capsys: Capture) -> None:
    shop.start("order-0")
    going = process(shop, "recover", "--app", APP, "--every", "0.05", "--json")
    shop.crash("order-1")
    assert going.stdout is not None
    assert json.loads(going.stdout.readline())["id"] == "order-1"
    with shop.mode("slow"):
        (shop.folder / "sending").unlink()
        shop.module.schedule("order-2", time.time() - 1)
        shop.wait_for("sending")
        going.send_signal(number)
        text, problems = going.communicate(timeout=60)
    assert going.returncode == 128 + number
    assert text == ""
    assert problems.endswith(
        "Interrupted: the runs that had not ended are let go of; cnstra runs recover continues them.\n"
    )
    found = shop.run("order-2", capsys)
    assert (found["run"]["status"], found["run"]["owner"]) == ("running", None)


def test_recovering_again_complains_once_and_goes_on(shop: Shop, capsys: Capture) -> None:
    shop.crash("order-1")
    going = process(shop, "recover", "--app", "their_shop:without_courier", "--every", "0.02")
    assert going.stderr is not None
    assert "UTC the graph has changed: run 'order-1' needs neuron 'courier'" in going.stderr.readline()
    shop.module.schedule("order-2", time.time() - 1)
    assert going.stdout is not None
    assert re.fullmatch(r"\S+ \S+ UTC order-2 completed in attempt 1, .*\n", going.stdout.readline())
    going.send_signal(signal.SIGTERM)
    text, problems = going.communicate(timeout=60)
    assert (going.returncode, text) == (143, "")
    assert [line for line in problems.splitlines() if "graph" in line] == []


def test_recovering_again_ends_when_nobody_reads_it(shop: Shop, capsys: Capture) -> None:
    shop.start("order-0")
    going = process(shop, "recover", "--app", APP, "--every", "0.02")
    assert going.stdout is not None
    going.stdout.close()
    shop.module.schedule("order-1", time.time() - 1)
    assert going.wait(60) == 141
    assert going.stderr is not None
    assert going.stderr.read() in ("", "paying 7\n")
    going.stderr.close()
    assert shop.run("order-1", capsys)["run"]["status"] == "completed"


# cancel


def test_cancel(shop: Shop, capsys: Capture) -> None:
    going = shop.begin("order-1")
    shop.module.schedule("later", time.time() + 90_000)
    assert run(capsys, "cancel", "later", "--reason", "no need") == "later is cancelled: no process had it\n"
    assert shop.run("later", capsys)["run"]["error"] == "no need"
    assert run(capsys, "cancel", "later") == "later had ended already\n"
    assert document(capsys, "cancel", "later") == {"id": "later", "outcome": "had ended", "owner": None}
    text = run(capsys, "cancel", "order-1", "--reason", "too late")
    assert re.fullmatch(rf"order-1 is to be cancelled by \S+/{going.pid}, which has it\n", text)
    going.wait(60)
    found = shop.run("order-1", capsys)["run"]
    assert (found["status"], found["cancel_requested"]) == ("aborted", "too late")
    assert run(capsys, "list").splitlines()[3].rstrip().endswith("too late")
    assert error_of(capsys, "cancel", "order-3") == "there is no run 'order-3' in sqlite:///runs.db"


# prune


def test_prune(shop: Shop, capsys: Capture) -> None:
    shop.start("order-1", "order-2", "order-3", "order-4")
    assert run(capsys, "prune", "--older-than", "1d", "--yes") == "0 runs removed.\n"
    assert run(capsys, "prune", "--keep-last", 3, "-y") == "1 run removed.\n"
    assert document(capsys, "prune", "--older-than", "0s", "--keep-last", 1, "--yes") == {"removed": 2}
    assert ids(capsys) == ["order-4"]


def test_prune_asks(shop: Shop, capsys: Capture) -> None:
    shop.start("order-1")
    message = error_of(capsys, "prune", "--older-than", "0s", status=2)
    assert message == "nobody is there to be asked whether runs are to be removed: give --yes"
    assert error_of(capsys, "prune", "--yes", status=2).startswith("which ones? give --older-than")
    assert ids(capsys) == ["order-1"]


# watch


def test_watch_a_run(shop: Shop, capsys: Capture) -> None:
    going = shop.begin("order-1")
    watching = process(shop, "watch", "order-1", "--interval", "0.02", "--json")
    in_words = process(shop, "watch", "order-1", "--interval", "0.02")
    assert watching.stdout is not None
    first = json.loads(watching.stdout.readline())
    assert (first["id"], first["status"]) == ("order-1", "running")
    assert in_words.stdout is not None
    line = in_words.stdout.readline()
    assert re.fullmatch(rf"\S+ \S+ UTC order-1 running try 1, hops \d, \S+: \S+/{going.pid}\n", line)
    (shop.folder / "slow").unlink()
    *_, last = map(json.loads, watching.communicate(timeout=60)[0].splitlines())
    assert last["status"] == "completed"
    assert in_words.communicate(timeout=60)[0].splitlines()[-1].find(" order-1 completed try 1, hops 2, ") > 0
    assert (watching.returncode, in_words.returncode, going.wait(60)) == (0, 0, 0)


def test_watch_runs(shop: Shop) -> None:
    shop.start("order-1")
    going = shop.begin("order-2")
    watching = process(shop, "watch", "--status", "running", "--interval", "0.02", "--json")
    assert watching.stdout is not None
    assert json.loads(watching.stdout.readline())["id"] == "order-2"
    (shop.folder / "slow").unlink()
    # The filter does not let it through any more, and what became of it is told all the same.
    changes: list[Any] = []
    while not changes or changes[-1]["status"] == "running":
        changes.append(json.loads(watching.stdout.readline()))
    assert (changes[-1]["id"], changes[-1]["status"]) == ("order-2", "completed")
    watching.send_signal(signal.SIGINT)
    assert watching.communicate(timeout=60) == ("", "")
    assert (watching.returncode, going.wait(60)) == (130, 0)


# --app and --store


@pytest.mark.parametrize("name", ["cns", "durable", "make", "make_durable"])
def test_what_an_app_may_be(name: str, shop: Shop, capsys: Capture) -> None:
    shop.start("order-1")
    assert "completed" in run(capsys, "clone", "order-1", "order-2", "--app", f"their_shop:{name}")


def test_a_durable_has_its_own_store(
    shop: Shop, capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shop.start("order-1")
    message = error_of(
        capsys, "retry", "order-1", "--app", "their_shop:durable", "--store", "sqlite:///runs.db", status=2
    )
    assert message == "their_shop:durable is a Durable, which has a store of its own: leave --store out"
    # What is in the environment is for those that have none.
    monkeypatch.setenv("CNSTRA_STORE", "sqlite:///other.db")
    assert "order-1" in run(capsys, "show", "order-1", "--app", "their_shop:durable")
    assert not (tmp_path / "other.db").exists()
    assert run(capsys, "recover", "--app", "their_shop:in_memory") == "Nothing to recover.\n"


@pytest.mark.parametrize(
    ("name", "message", "status"),
    [
        ("their_shop", "'their_shop' does not name a CNS: write MODULE:CNS", 2),
        ("their_shop:nothing", "their_shop has no 'nothing'; it has cns, durable, in_memory, without_courier", 1),
        (
            "their_shop:text",
            "their_shop:text is neither a CNS nor a Durable nor a function that makes one, but a str",
            1,
        ),
        ("their_shop:make_text", "their_shop:make_text returned neither a CNS nor a Durable, but a str", 1),
        ("their_shop:make_trouble", "calling their_shop:make_trouble failed: ZeroDivisionError: division by zero", 1),
        ("their_shop:make_from", "their_shop:make_from needs arguments: name a function that is called without any", 1),
        ("their_shop:make_later", "their_shop:make_later is async: name a plain function that returns a CNS", 1),
        ("their_shape:cns", "there is no module 'their_shape' to import", 1),
    ],
)
def test_what_is_no_app(name: str, message: str, status: int, shop: Shop, capsys: Capture) -> None:
    shop.start("order-1")
    assert error_of(capsys, "recover", "--app", name, status=status).startswith(message)


COMMANDS = [
    ["list"],
    ["show", "order-1"],
    ["retry", "order-1", "--app", APP],
    ["clone", "order-1", "--app", APP],
    ["cancel", "order-1"],
    ["recover", "--app", APP],
    ["prune", "--keep-last", "1", "--yes"],
    ["watch"],
    ["watch", "order-1"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_command_makes_a_store(command: list[str], shop: Shop, capsys: Capture) -> None:
    message = error_of(capsys, *command)
    assert message == f"there is no store at sqlite:///runs.db: {shop.folder / 'runs.db'} does not exist"
    assert not list(shop.folder.glob("*.db*"))
    with sqlite3.connect(shop.folder / "runs.db") as database:
        database.execute("CREATE TABLE theirs (number INTEGER)")
    database.close()
    before = (shop.folder / "runs.db").read_bytes()
    assert error_of(capsys, *command).endswith("runs.db is a database without one")
    assert (shop.folder / "runs.db").read_bytes() == before


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_store_is_needed(command: list[str], shop: Shop, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CNSTRA_STORE")
    assert error_of(capsys, *command, status=2) == (
        "which store? give --store URL, or set the environment variable CNSTRA_STORE"
    )


def test_stores_that_are_none(shop: Shop, capsys: Capture) -> None:
    url = "mysql://bob:s3c:r@et@host/runs"
    assert error_of(capsys, "list", "--store", url, status=2).startswith("'host/runs' names no store: use sqlite:///")
    assert "/bob@host/runs" in error_of(capsys, "list", url, status=2)
    (shop.folder / "runs.db").write_bytes(b"no database" * 1000)
    assert "it is no SQLite database" in error_of(capsys, "list")
    assert "is a directory" in error_of(capsys, "list", "--store", f"sqlite:///{shop.folder}")
    # It is there, and empty.
    assert run(capsys, "list", "--store", "memory://") == "No runs.\n"


@pytest.mark.parametrize(
    ("missing", "url", "message"),
    [
        ("msgspec", "sqlite:///runs.db", "msgspec, which is not installed: pip install 'cnstra[durable]'"),
        ("psycopg", "postgresql://host/runs", "a PostgreSQL store needs psycopg: pip install 'cnstra[postgres]'"),
    ],
)
def test_without_the_extra_it_says_how_to_get_it(missing: str, url: str, message: str) -> None:
    script = (
        "import sys\n"
        f"sys.modules[{missing!r}] = None\n"  # What a package that is not installed looks like to import.
        "from cnstra.cli import main\n"
        "assert main(['runs', '--help']) == main(['runs', 'list', '--help']) == main(['info']) == 0\n"
        f"sys.exit(main(['runs', 'list', '--store', {url!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("cnstra: error: ")
    assert message in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope"], "nope"),
        (["list", "--status", "happy"], 'Choose from: "scheduled"'),
        (["list", "--limit", "0"], "--limit"),
        (["list", "--limit", "10001"], "--limit"),
        (["list", "--cursor", "x"], "--cursor 'x' is none: give what the page before had"),
        (["list", "--since", "yesterday"], "--since 'yesterday' is no point in time: write 2h"),
        (["list", "order-1"], "order-1"),
        (["show"], "RUN_ID"),
        (["retry", "order-1"], "--app"),
        (["recover", "--app", APP, "--every", "0"], "--every"),
        (["prune", "--older-than", "30"], "--older-than '30' is no length of time: write 90s"),
        (["prune", "--keep-last", "-1"], "--keep-last"),
        (["watch", "order-1", "--status", "running"], "filters are for lists: give RUN_ID or filters, not both"),
        (["watch", "--interval", "0"], "--interval"),
        (["watch", "--since", "2h30"], "--since '2h30' is no point in time"),
    ],
)
def test_wrong_use(arguments: list[str], message: str, shop: Shop, capsys: Capture) -> None:
    shop.start("order-1")
    assert message in error_of(capsys, *arguments, status=2)


def test_no_such_run(shop: Shop, capsys: Capture) -> None:
    shop.start("order-1")
    for command in (["show", "nobody"], ["watch", "nobody"], ["cancel", "nobody"], ["clone", "nobody", "--app", APP]):
        assert error_of(capsys, *command) == "there is no run 'nobody' in sqlite:///runs.db"
