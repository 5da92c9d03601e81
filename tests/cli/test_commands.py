"""The commands: what they print, and that every mistake is one clear line and an exit status."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import cnstra
from cnstra.cli import main
from cnstra.demo.stores import Stores

HEADER = "customer_id,date,quantity,amount\n"

Capture = pytest.CaptureFixture[str]


def error_of(capsys: Capture, *arguments: object, status: int = 1) -> str:
    """The one line that a command says when it fails."""
    assert main([str(argument) for argument in arguments]) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("cnstra: error: ")
    return line.removeprefix("cnstra: error: ")


@pytest.fixture
def write_csv(tmp_path: Path) -> Callable[..., Path]:
    def write(text: str, name: str = "orders.csv") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


WriteCsv = Callable[..., Path]


# cnstra, cnstra info, cnstra --version


def test_version(capsys: Capture) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"cnstra {cnstra.__version__}\n"


def test_info(capsys: Capture) -> None:
    assert main(["info"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"engine: {cnstra.engine}" in lines
    assert f"version: {cnstra.__version__}" in lines


@pytest.mark.parametrize("arguments", [[], ["--help"], ["demo"], ["demo", "orders", "--help"], ["graph", "-h"]])
def test_help(arguments: list[str], capsys: Capture) -> None:
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert "Usage: cnstra" in captured.out
    assert captured.err == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope"], 'Unknown command "nope"'),
        (["demo", "nope"], 'Unknown command "nope"'),
        (["demo", "orders", "--nope"], "Unknown option: --nope"),
        (["demo", "orders", "--batch", "0"], 'Invalid value "0" for --batch'),
        (["demo", "orders", "--batch", "x"], "Invalid value for --batch"),
        (["demo", "orders", "--batch", "100001"], "Invalid value"),
        (["demo", "orders", "--orders"], "--orders"),
        (["graph"], "MODULE:CNS"),
        (["graph", "cnstra.demo.orders:cns", "--format", "png"], 'Choose from: "mermaid", "dot", "json"'),
        (["graph", "a:b", "c:d"], "c:d"),
    ],
)
def test_wrong_use(arguments: list[str], message: str, capsys: Capture) -> None:
    assert message in error_of(capsys, *arguments, status=2)


def test_it_is_a_module_and_a_script() -> None:
    for command in ([sys.executable, "-m", "cnstra"], [Path(sys.executable).parent / "cnstra"]):
        done = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=60)
        assert (done.stdout, done.stderr, done.returncode) == (f"cnstra {cnstra.__version__}\n", "", 0)


@pytest.mark.parametrize("missing", ["cyclopts", "rich"])
def test_without_the_extra_it_says_how_to_get_it(missing: str) -> None:
    script = (
        "import sys\n"
        f"sys.modules[{missing!r}] = None\n"  # What a package that is not installed looks like to import.
        "from cnstra.cli import main\n"
        "sys.exit(main(['info']))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"needs {missing}, which is not installed: pip install 'cnstra[cli]'" in line


def test_the_library_does_not_load_the_command_line() -> None:
    script = "import sys, cnstra, cnstra.demo.orders; print([m for m in ('rich', 'cyclopts') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n"


# cnstra graph


def test_graph_formats(capsys: Capture) -> None:
    from cnstra.demo.orders import cns

    wanted = {"mermaid": cns.network.to_mermaid(), "dot": cns.network.to_dot(), "json": cns.network.to_json()}
    assert main(["graph", "cnstra.demo.orders:cns"]) == 0
    assert capsys.readouterr().out == wanted["mermaid"].rstrip("\n") + "\n"
    for form, text in wanted.items():
        assert main(["graph", "cnstra.demo.orders:cns", "--format", form]) == 0
        assert capsys.readouterr().out == text.rstrip("\n") + "\n"
    assert "order_placed" in wanted["mermaid"]
    assert {neuron["name"] for neuron in json.loads(wanted["json"])["neurons"]} >= {"orders", "customer_totals"}


def test_graph_into_a_file(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "graph.dot"
    assert main(["graph", "cnstra.demo.orders:cns", "-f", "dot", "-o", str(path)]) == 0
    assert capsys.readouterr().out == ""
    assert path.read_text().startswith("digraph")
    assert "cannot be written: " in error_of(capsys, "graph", "cnstra.demo.orders:cns", "-o", tmp_path / "no" / "x")
    assert "cannot be written: " in error_of(capsys, "graph", "cnstra.demo.orders:cns", "-o", tmp_path)


@pytest.fixture
def user_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that is the current one, with modules of a user in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    before = set(sys.modules)
    (tmp_path / "their_graph.py").write_text(
        "import cnstra\n"
        "ping = cnstra.collateral('ping', int)\n"
        "class App:\n"
        "    cns = cnstra.CNS([cnstra.neuron('printer').dendrite(collateral=ping, response=lambda n: None)])\n"
        "cns = App.cns\n"
        "text = 'no graph'\n"
    )
    (tmp_path / "their_bug.py").write_text("1 / 0\n")
    (tmp_path / "their_exit.py").write_text("raise SystemExit('two\\nlines')\n")
    (tmp_path / "their_import.py").write_text("import a_module_that_nobody_has\n")
    (tmp_path / "their_syntax.py").write_text("def f(:\n")
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("their_"):
            del sys.modules[name]


@pytest.mark.usefixtures("user_modules")
def test_a_graph_in_the_current_folder(capsys: Capture) -> None:
    for target in ("their_graph:cns", "their_graph:App.cns"):
        assert main(["graph", target]) == 0
        assert '"printer"' in capsys.readouterr().out


@pytest.mark.usefixtures("user_modules")
@pytest.mark.parametrize(
    ("target", "message", "status"),
    [
        ("their_graph", "'their_graph' does not name a CNS: write MODULE:CNS", 2),
        ("their_graph:", "does not name a CNS", 2),
        (":cns", "does not name a CNS", 2),
        (".their_graph:cns", "'.their_graph' is relative", 2),
        ("their_grape:cns", "there is no module 'their_grape' to import", 1),
        ("their_graph.sub:cns", "there is no module 'their_graph.sub' to import", 1),
        ("their_graph:cms", "their_graph has no 'cms'; it has cns", 1),
        ("their_graph:App.cms", "their_graph.App has no 'cms'; it has cns", 1),
        ("their_graph:text", "their_graph:text is no CNS but a str; it has cns", 1),
        ("their_graph:App", "their_graph:App is no CNS but a type; it has cns", 1),
        ("their_bug:cns", "importing their_bug failed: ZeroDivisionError: division by zero", 1),
        ("their_exit:cns", "importing their_exit failed: SystemExit: two lines", 1),
        ("their_import:cns", "importing their_import failed: No module named 'a_module_that_nobody_has'", 1),
        ("their_syntax:cns", "importing their_syntax failed: SyntaxError: ", 1),
    ],
)
def test_graph_mistakes(target: str, message: str, status: int, capsys: Capture) -> None:
    assert message in error_of(capsys, "graph", target, status=status)


# cnstra demo orders


@pytest.mark.timeout(240)
def test_the_real_orders(tmp_path: Path, capsys: Capture) -> None:
    """The main job, with the sums that are known from elsewhere."""
    assert main(["demo", "orders", "--data", str(tmp_path / "stores")]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    lines = [line.split() for line in captured.out.splitlines()]
    assert ["Orders", "69,659", "69,659", "69,659"] in lines
    assert ["Customers", "23,570", "23,570"] in lines
    assert ["CDs", "167,881", "167,881", "167,881"] in lines
    assert ["Revenue", "$2,500,315.63", "$2,500,315.63", "$2,500,315.63"] in lines
    assert "69,659 orders placed in " in captured.out
    assert f"orders per second, {cnstra.engine} engine." in captured.out
    assert sum(len(line) > 1 and line[-1].startswith("$") and line[0][4:5] == "-" for line in lines) == 18
    with Stores(tmp_path / "stores") as stores:
        written = stores.write.totals()
        assert (written.orders, written.customers, written.quantity, written.revenue) == (
            69_659,
            23_570,
            167_881,
            250_031_563,
        )
        assert stores.view.customer_sums() == written
        assert (stores.view.month_sums().orders, stores.view.month_sums().revenue) == (69_659, 250_031_563)
        assert stores.write.bookmark is not None
        assert stores.write.bookmark.line == 69_660
    assert main(["demo", "orders", "--data", str(tmp_path / "stores")]) == 0
    captured = capsys.readouterr()
    assert captured.err == "Going on after line 69,660, where an earlier run stopped.\n"
    assert "No order was left to place." in captured.out


def test_another_file_of_orders(write_csv: WriteCsv, tmp_path: Path, capsys: Capture) -> None:
    path = write_csv(HEADER + "1,1997-01-01,2,3.50\n\n2,1997-01-01,0,1.00\nnonsense\n1,1997-02-01,1,1.00\n")
    packed = tmp_path / "packed.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    for file in (path, packed):
        assert main(["demo", "orders", "--orders", str(file)]) == 0
        captured = capsys.readouterr()
        assert captured.err.splitlines() == [
            f"{file.name}:4: rejected: a quantity of 0 is no order: it takes at least 1",
            f"{file.name}:5: skipped: 1 fields instead of 4: 'nonsense'",
        ]
        assert "1 order rejected, 1 malformed line skipped, in this run and before." in captured.out
        assert "The best customer\n" in captured.out
        assert "2 orders placed in " in captured.out


def test_a_file_without_orders(write_csv: WriteCsv, capsys: Capture) -> None:
    assert main(["demo", "orders", "--orders", str(write_csv(HEADER))]) == 0
    captured = capsys.readouterr()
    assert captured.out.endswith("No order was left to place.\n")
    assert "best customer" not in captured.out


def test_strict(write_csv: WriteCsv, tmp_path: Path, capsys: Capture) -> None:
    path = write_csv(HEADER + "1,1997-01-01,2,3.50\nnonsense\n")
    assert error_of(capsys, "demo", "orders", "--orders", path, "--strict") == (
        "orders.csv:3: 1 fields instead of 4: 'nonsense'; 1 of 2 lines done, 1 order for $3.50 in both stores, "
        "which were temporary (--data DIR keeps them)"
    )
    message = error_of(capsys, "demo", "orders", "--orders", path, "--strict", "--data", tmp_path / "stores")
    assert message.endswith("in both stores; mend the line and run the same command again to go on")


def test_fresh(write_csv: WriteCsv, tmp_path: Path, capsys: Capture) -> None:
    first, second = write_csv(HEADER + "1,1997-01-01,1,1.00\n"), write_csv(HEADER + "2,1997-01-01,1,2.00\n", "b.csv")
    data = tmp_path / "stores"
    assert main(["demo", "orders", "--orders", str(first), "--data", str(data)]) == 0
    capsys.readouterr()
    assert "of another file" in error_of(capsys, "demo", "orders", "--orders", second, "--data", data)
    assert main(["demo", "orders", "--orders", str(second), "--data", str(data), "--fresh"]) == 0
    assert "$2.00" in capsys.readouterr().out


def test_files_that_are_no_orders(write_csv: WriteCsv, tmp_path: Path, capsys: Capture) -> None:
    def complaint(path: Path) -> str:
        return error_of(capsys, "demo", "orders", "--orders", path)

    assert complaint(tmp_path / "nope.csv") == f"{tmp_path / 'nope.csv'} does not exist"
    assert complaint(tmp_path).endswith("is a folder, not a file of orders")
    assert "is empty: its first line must be customer_id,date,quantity,amount" in complaint(write_csv(""))
    assert "is no file of orders: its first line must be" in complaint(write_csv("a,b,c\n"))
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(gzip.compress(HEADER.encode() * 1000)[:-20])
    assert "cut.csv.gz is a damaged archive" in complaint(cut)


def test_folders_that_cannot_hold_stores(write_csv: WriteCsv, tmp_path: Path, capsys: Capture) -> None:
    path = write_csv(HEADER + "1,1997-01-01,1,1.00\n")
    assert "cannot be the folder of the stores: " in error_of(
        capsys, "demo", "orders", "--orders", path, "--data", path
    )
    data = tmp_path / "data"
    data.mkdir()
    (data / "write_store.sqlite3").write_bytes(b"not a database" * 100)
    message = error_of(capsys, "demo", "orders", "--orders", path, "--data", data)
    assert "write_store.sqlite3 is not a database, or damaged" in message


def test_a_temporary_run_leaves_nothing_behind(
    write_csv: WriteCsv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    assert main(["demo", "orders", "--orders", str(write_csv(HEADER + "1,1997-01-01,1,1.00\n"))]) == 0
    assert list(scratch.iterdir()) == []
