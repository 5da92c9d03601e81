"""The network: queries, cycles, orphans, stored names, pictures."""

from __future__ import annotations

import copy
import json
import pickle
import random
import re
import shutil
import subprocess
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest

from cnstra import CNS, ActivationTask, GraphError, Neuron, collateral, neuron
from cnstra._engine import components


def ignore(payload: Any) -> None: ...


class Shop:
    """A small graph with everything in it: entries, a cycle, a join, an unheard collateral, two dendrites on one."""

    def __init__(self) -> None:
        self.order = collateral("order", int)
        self.refund = collateral("refund")
        self.placed = collateral("placed", str)
        self.paid = collateral("paid")
        self.retry = collateral("retry")
        self.audited = collateral("audited")
        self.shop = neuron("shop", {"placed": self.placed}, concurrency=2)
        self.bank = neuron("bank", {"paid": self.paid, "retry": self.retry}, max_duration=1.5)
        self.audit = neuron("audit", {"audited": self.audited}, offload=True)
        self.shop.dendrite(collateral=self.order, response=ignore)
        self.bank.dendrite(self.placed, self.retry)(lambda payload, axon: None)
        self.audit.dendrite(collateral=self.placed, response=partial(ignore))
        self.audit.join(self.paid, self.refund)(ignore)
        self.audit.dendrite(collateral=self.placed, response=ignore)
        self.cns = CNS([self.shop, self.bank, self.audit])
        self.network = self.cns.network


@pytest.fixture
def shop() -> Shop:
    return Shop()


# --- queries


def test_subscribers_in_order_of_neuron_then_dendrite(shop: Shop) -> None:
    bank, audit = shop.bank.dendrites, shop.audit.dendrites
    assert shop.network.get_subscribers(shop.placed) == (bank[0], audit[0], audit[3])
    assert CNS([shop.audit, shop.bank]).network.get_subscribers(shop.placed) == (audit[0], audit[3], bank[0])
    assert shop.network.get_subscribers(shop.audited) == ()
    assert shop.network.get_subscribers(collateral("placed")) == ()


def test_collaterals_dendrites_and_owners(shop: Shop) -> None:
    network = shop.network
    assert network.get_collaterals() == (shop.placed, shop.order, shop.paid, shop.retry, shop.audited, shop.refund)
    assert network.get_dendrites() == (*shop.shop.dendrites, *shop.bank.dendrites, *shop.audit.dendrites)
    assert network.get_parent_neuron(shop.placed) is shop.shop
    assert network.get_parent_neuron(shop.order) is None
    assert network.get_parent_neuron(collateral("unknown")) is None
    assert network.neurons == shop.cns.neurons


def test_orphans(shop: Shop) -> None:
    orphans = shop.network.get_orphans()
    assert orphans.unheard == (shop.audited,)
    assert orphans.unemitted == (shop.order, shop.refund)
    unheard, unemitted = orphans
    assert (unheard, unemitted) == (orphans.unheard, orphans.unemitted)


@pytest.mark.parametrize("method", ["get_subscribers", "get_parent_neuron"])
def test_collaterals_are_not_names(shop: Shop, method: str) -> None:
    with pytest.raises(TypeError, match="a Collateral is needed here, not str"):
        getattr(shop.network, method)("order")


def test_identity(shop: Shop) -> None:
    assert shop.cns.network is shop.network
    assert repr(shop.network) == "<Network of 3 neurons and 6 collaterals>"
    assert repr(CNS([neuron("n")]).network) == "<Network of 1 neuron and 0 collaterals>"
    assert copy.copy(shop.network) is shop.network
    assert copy.deepcopy(shop.network) is shop.network
    with pytest.raises(TypeError, match=r"<Network of .*> cannot be pickled: build it again"):
        pickle.dumps(shop.network)


def test_empty() -> None:
    network = CNS([]).network
    assert network.get_collaterals() == ()
    assert network.get_dendrites() == ()
    assert network.strongly_connected_components == ()
    assert network.to_mermaid() == "flowchart LR\n"
    assert network.to_dot() == "digraph cnstra {\n    rankdir=LR;\n}\n"


# --- cycles


def test_components_come_after_what_they_reach(shop: Shop) -> None:
    assert shop.network.strongly_connected_components == ((shop.audit,), (shop.bank,), (shop.shop,))


def test_a_cycle_is_one_component() -> None:
    channels = [collateral(f"c{i}") for i in range(5)]
    ring = [
        neuron(f"n{i}", {"out": channels[i]}).dendrite(collateral=channels[(i - 1) % 4], response=ignore)
        for i in range(4)
    ]
    tail = neuron("tail").dendrite(collateral=channels[2], response=ignore)
    head = neuron("head", {"out": channels[4]})
    ring[3].dendrite(collateral=channels[4], response=ignore)
    assert CNS([head, *ring, tail]).network.strongly_connected_components == ((tail,), tuple(ring), (head,))


def test_a_long_chain_does_not_use_the_stack() -> None:
    count = 20_000
    channels = [collateral(f"c{i}") for i in range(count + 1)]
    chain = [
        neuron(f"n{i}", {"out": channels[i + 1]}).dendrite(collateral=channels[i], response=ignore)
        for i in range(count)
    ]
    assert CNS(chain).network.strongly_connected_components == tuple((n,) for n in reversed(chain))


def _components_by_reachability(edges: Sequence[Sequence[int]]) -> set[frozenset[int]]:
    """The definition: two nodes are together if each reaches the other."""
    reached: list[set[int]] = []
    for node in range(len(edges)):
        seen, stack = {node}, [node]
        while stack:
            for after in edges[stack.pop()]:
                if after not in seen:
                    seen.add(after)
                    stack.append(after)
        reached.append(seen)
    return {frozenset(b for b in reached[a] if a in reached[b]) for a in range(len(edges))}


@pytest.mark.parametrize("seed", range(200))
def test_components_of_random_graphs(seed: int) -> None:
    chance = random.Random(seed)
    count = chance.randrange(1, 25)
    edges = [[chance.randrange(count) for _ in range(chance.choice([0, 0, 1, 1, 2, 5]))] for _ in range(count)]
    found = components(edges)
    assert {frozenset(group) for group in found} == _components_by_reachability(edges)
    assert sorted(node for group in found for node in group) == list(range(count))
    assert all(group == sorted(group) for group in found)
    place = {node: index for index, group in enumerate(found) for node in group}
    assert all(place[after] <= place[node] for node in range(count) for after in edges[node])
    assert components([list(after) for after in edges]) == found


@pytest.mark.parametrize(
    ("edges", "expected"),
    [
        ([], []),
        ([[]], [[0]]),
        ([[0]], [[0]]),
        ([[1], [2], [1], [0]], [[1, 2], [0], [3]]),
        ([[1, 1, 1], [0]], [[0, 1]]),
        ([[1, 2], [], []], [[1], [2], [0]]),
    ],
)
def test_components_of_small_graphs(edges: list[list[int]], expected: list[list[int]]) -> None:
    assert components(edges) == expected


def test_components_of_a_million_nodes() -> None:
    count = 1_000_000
    chain = [[i + 1] for i in range(count - 1)] + [[]]
    assert components(chain) == [[i] for i in reversed(range(count))]
    chain[-1] = [0]
    assert components(chain) == [list(range(count))]


# --- names


def test_signals_by_name(shop: Shop) -> None:
    payload = object()
    signal = shop.placed.create_signal(payload)  # type: ignore[arg-type]
    dumped = shop.network.dump(signal)
    assert dumped == {"collateral": "placed", "payload": payload}
    assert shop.network.load(dumped) == signal
    assert shop.network.load(dumped).payload is payload


def test_tasks_by_name(shop: Shop) -> None:
    signal = shop.placed.create_signal("x")
    task = ActivationTask(shop.audit, signal, dendrite=1, hop=4, id=7, cause=3)
    dumped = shop.network.dump(task)
    assert dumped == {
        "neuron": "audit",
        "collateral": "placed",
        "payload": "x",
        "dendrite": 1,
        "hop": 4,
        "id": 7,
        "cause": 3,
        "joined": [],
    }
    assert shop.network.load(json.loads(json.dumps(dumped))) == task
    short = {"neuron": "audit", "collateral": "placed", "payload": "x"}
    assert shop.network.load(short) == ActivationTask(shop.audit, signal)


def test_joined_tasks_by_name(shop: Shop) -> None:
    parts = tuple(
        ActivationTask(shop.audit, c.create_signal(), id=i, hop=2) for i, c in enumerate((shop.paid, shop.refund))
    )
    task = ActivationTask(shop.audit, parts[1].signal, joined=parts)
    dumped = json.loads(json.dumps(shop.network.dump(task)))
    assert [part["collateral"] for part in dumped["joined"]] == ["paid", "refund"]
    assert shop.network.load(dumped) == task


def test_a_frontier_goes_to_another_process(shop: Shop) -> None:
    """An equal graph, made anew, resumes what this one left."""
    done: list[str] = []

    def make(fail: bool) -> tuple[CNS, Neuron[Any, Any, Any, Any], Any]:
        first, second = collateral("first", str), collateral("second", str)

        def work(payload: str) -> None:
            if fail:
                raise OSError("down")
            done.append(payload)

        start = neuron("start", {"second": second}).dendrite(
            collateral=first,
            response=lambda p, axon: [axon.second.create_signal(p + "1"), axon.second.create_signal(p + "2")],
        )
        return CNS([start, neuron("worker").dendrite(collateral=second, response=work)]), start, first

    cns, _, first = make(fail=True)
    run = cns.stimulate(first.create_signal("a"))
    assert run.outcome == "failed"
    assert run.failed_tasks
    stored = json.dumps([cns.network.dump(task) for task in run.outstanding_tasks])
    again, _, _ = make(fail=False)
    resumed = again.activate([again.network.load(task) for task in json.loads(stored)])
    assert resumed.outcome == "completed"
    assert done == ["a1", "a2"]


TASK = {"neuron": "bank", "collateral": "placed", "payload": 3}


@pytest.mark.parametrize(
    ("dumped", "error", "message"),
    [
        (3, TypeError, "load takes a mapping as dump returns it, not int"),
        ([("collateral", "order")], TypeError, "load takes a mapping"),
        ({}, ValueError, "lacks 'collateral', 'payload'"),
        ({"collateral": "order"}, ValueError, "lacks 'payload'"),
        ({"neuron": "bank", "payload": 3}, ValueError, "lacks 'collateral'"),
        ({"collateral": "order", "payload": 3, "hop": 3}, ValueError, "has 'hop'"),
        ({"neuron": "bank", "hops": 3}, ValueError, "lacks 'collateral', 'payload' and has 'hops'"),
        ({"collateral": "ordr", "payload": 3}, GraphError, "no collateral named 'ordr': was it renamed"),
        ({"collateral": 3, "payload": 3}, TypeError, "collateral must be a name, not int"),
        ({**TASK, "neuron": "bnk"}, GraphError, "no neuron named 'bnk': was it renamed"),
        ({**TASK, "neuron": None}, TypeError, "neuron must be a name, not NoneType"),
        ({**TASK, "collateral": "order"}, GraphError, "neuron 'bank' has 0 dendrites on 'order'"),
        ({**TASK, "neuron": "audit", "dendrite": 2}, GraphError, "has 2 dendrites on 'placed', so none 2"),
        ({**TASK, "dendrite": -1}, ValueError, "dendrite must be at least 0"),
        ({**TASK, "dendrite": "0"}, TypeError, "dendrite must be an int"),
        ({**TASK, "hop": 0}, ValueError, "hop must be at least 1"),
        ({**TASK, "id": "1"}, TypeError, "id must be an int or None"),
        ({**TASK, "joined": {}}, TypeError, "joined must be a list, not dict"),
        ({**TASK, "joined": [3]}, TypeError, "load takes a mapping"),
        ({**TASK, "joined": [{"collateral": "placed", "payload": 3}]}, TypeError, "joined must be a tuple of"),
    ],
)
def test_what_cannot_be_loaded(shop: Shop, dumped: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        shop.network.load(dumped)


def test_what_cannot_be_dumped(shop: Shop) -> None:
    other = Shop()
    with pytest.raises(GraphError, match="this graph does not have <Collateral 'placed'>: was the signal made for"):
        shop.network.dump(other.placed.create_signal("x"))
    with pytest.raises(GraphError, match="this graph does not have <Neuron 'bank' with 2 dendrites>: was the task"):
        shop.network.dump(ActivationTask(other.bank, shop.placed.create_signal("x")))
    with pytest.raises(GraphError, match="this graph does not have <Collateral 'placed'>"):
        shop.network.dump(ActivationTask(shop.bank, other.placed.create_signal("x")))
    with pytest.raises(TypeError, match="dump takes a signal or an ActivationTask, not dict"):
        shop.network.dump({})  # type: ignore[arg-type]


# --- pictures


def test_mermaid(shop: Shop) -> None:
    assert shop.network.to_mermaid() == (
        "flowchart LR\n"
        '    n0["shop"]\n'
        '    n1["bank"]\n'
        '    n2["audit"]\n'
        '    j0{"join"}\n'
        '    c1(["order"])\n'
        '    c4>"audited"]\n'
        '    c5(["refund"])\n'
        "    j0 --> n2\n"
        '    n0 -->|"placed"| n1\n'
        '    n0 -->|"placed"| n2\n'
        '    n0 -->|"placed"| n2\n'
        "    c1 --> n0\n"
        '    n1 -->|"paid"| j0\n'
        '    n1 -->|"retry"| n1\n'
        "    n2 -.-> c4\n"
        "    c5 --> j0\n"
    )


def test_dot(shop: Shop) -> None:
    assert shop.network.to_dot() == (
        "digraph cnstra {\n"
        "    rankdir=LR;\n"
        '    n0 [shape=box, label="shop"];\n'
        '    n1 [shape=box, label="bank"];\n'
        '    n2 [shape=box, label="audit"];\n'
        '    j0 [shape=diamond, label="join"];\n'
        '    c1 [shape=oval, label="order"];\n'
        '    c4 [shape=plaintext, label="audited"];\n'
        '    c5 [shape=oval, label="refund"];\n'
        "    j0 -> n2;\n"
        '    n0 -> n1 [label="placed"];\n'
        '    n0 -> n2 [label="placed"];\n'
        '    n0 -> n2 [label="placed"];\n'
        "    c1 -> n0;\n"
        '    n1 -> j0 [label="paid"];\n'
        '    n1 -> n1 [label="retry"];\n'
        "    n2 -> c4 [style=dashed];\n"
        "    c5 -> j0;\n"
        "}\n"
    )


def test_json(shop: Shop) -> None:
    graph = json.loads(shop.network.to_json())
    assert list(graph) == ["neurons", "collaterals", "entries", "unheard", "components"]
    assert graph["entries"] == ["order", "refund"]
    assert graph["unheard"] == ["audited"]
    assert graph["components"] == [["audit"], ["bank"], ["shop"]]
    assert graph["neurons"][1] == {
        "name": "bank",
        "emits": ["paid", "retry"],
        "dendrites": [
            {"collateral": "placed", "handler": "Shop.__init__.<locals>.<lambda>", "arity": 2, "join": None},
            {"collateral": "retry", "handler": "Shop.__init__.<locals>.<lambda>", "arity": 2, "join": None},
        ],
        "concurrency": None,
        "max_duration": 1.5,
        "offload": False,
    }
    assert [(d["collateral"], d["handler"], d["join"]) for d in graph["neurons"][2]["dendrites"]] == [
        ("placed", "ignore", None),
        ("paid", "ignore", 0),
        ("refund", "ignore", 0),
        ("placed", "ignore", None),
    ]
    assert graph["collaterals"][:2] == [
        {
            "name": "placed",
            "payload_type": "str",
            "owner": "shop",
            "subscribers": [
                {"neuron": "bank", "dendrite": 0},
                {"neuron": "audit", "dendrite": 0},
                {"neuron": "audit", "dendrite": 3},
            ],
        },
        {"name": "order", "payload_type": "int", "owner": None, "subscribers": [{"neuron": "shop", "dendrite": 0}]},
    ]


def test_pictures_are_the_same_each_time(shop: Shop) -> None:
    for draw in ("to_mermaid", "to_dot", "to_json"):
        assert getattr(shop.network, draw)() == getattr(Shop().network, draw)()
    assert "0x" not in shop.network.to_json()


AWKWARD = [
    '"quoted"', "back\\slash", "new\nline", "a|b", "<b>bold</b>", "&lt;", "#35;", "`code`", "1. one", "- two", "end",
    "{curly}", "[square]", "(round)", "graph", "-->", "%% comment", "ümlaut 中文 🎉", "a;b", "\\n", "\x00\x07", "click",
]  # fmt: skip


def _awkward() -> CNS:
    neurons = []
    for index, name in enumerate(AWKWARD):
        out, unheard = collateral(f"{name} {index}"), collateral(f"{index} {name}")
        made: Any = neuron(name, {"out": out, "unheard": unheard})
        neurons.append(made.dendrite(collateral=[out, collateral(f"{name} entry")], response=ignore))
    return CNS(neurons)


def test_names_are_escaped() -> None:
    mermaid = _awkward().network.to_mermaid()
    labels = re.findall(r'"(.*?)"', mermaid)
    assert len(labels) == 4 * len(AWKWARD)
    assert mermaid.count('"') == 2 * len(labels)
    assert mermaid.count("\n") == 6 * len(AWKWARD) + 1
    assert labels[0] == "#34;quoted#34;"
    for label in labels:
        assert not set(re.sub(r"#\d+;", "", label)) & set('"<>&`\\|{}[]()#;%*\n\x00')
    shown = [re.sub(r"#(\d+);", lambda found: chr(int(found[1])), label) for label in labels]
    assert shown[: len(AWKWARD)] == ["".join(c if c.isprintable() else " " for c in name) for name in AWKWARD]
    graph = json.loads(_awkward().network.to_json())
    assert [made["name"] for made in graph["neurons"]] == AWKWARD


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_graphviz_reads_the_names_back() -> None:
    dot = _awkward().network.to_dot()
    done = subprocess.run(["dot", "-Tsvg"], input=dot.encode(), capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    assert b"rror" not in done.stderr
    import html

    texts = {html.unescape(text) for text in re.findall(r"<text[^>]*>(.*?)</text>", done.stdout.decode())}
    for name in AWKWARD:
        visible = "".join(c if c.isprintable() else " " for c in name).strip()
        assert not visible or any(visible in text.replace("\xa0", " ") for text in texts), name


def test_notebooks_show_the_picture(shop: Shop) -> None:
    network = shop.network
    bundle = network._repr_mimebundle_()
    assert bundle["text/plain"] == repr(network)
    assert bundle["text/vnd.mermaid"] == network.to_mermaid()
    assert bundle["text/markdown"] == f"```mermaid\n{network.to_mermaid()}```\n"
    assert set(network._repr_mimebundle_(include={"text/plain"})) == {"text/plain"}
    assert set(network._repr_mimebundle_(exclude=["text/plain", "text/markdown"])) == {"text/vnd.mermaid"}


def test_notebooks_do_not_draw_what_is_too_large() -> None:
    tick = collateral("tick")
    large = CNS([neuron(f"n{i}").dendrite(collateral=tick, response=ignore) for i in range(501)])
    assert set(large.network._repr_mimebundle_()) == {"text/plain"}
