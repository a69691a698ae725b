"""Recipes, outputs and names."""

import math

from deriva.v1 import graph_pb2, types_pb2

from . import form
from .calls import insert, put, run
from .serving import holds, same

# A param of each type, with numbers where their form changes.
PARAMS = {
    "null": None,
    "bools": [True, False],
    "ints": [0, 23, 24, 255, 256, 65_536, 2**63 - 1, -1, -(2**63)],
    "floats": [0.0, -0.0, 1.0, 1.5, 65_504.0, math.pi, 1e300, 5e-324],
    "text": "ä\u0301 🦀\0\n",
    "bytes": bytes(range(256)),
    "map": {"": 1, "b": {"z": [], "aa": {}}, "a": "x"},
}


def addresses(server, client):
    """insert: addresses are those that cbor2 and blake3 make of the canonical form, whichever way a recipe is sent"""
    inputs = [form.blob_addr(b"first"), form.blob_addr(b"second")]
    addr = insert(client, "bytes.identity/1", [inputs[0]])
    every = form.recipe_addr("unheard.of/1.2-rc+3", inputs, **PARAMS)
    in_parts = form.recipe("unheard.of/1.2-rc+3", inputs, **PARAMS)
    as_bytes = types_pb2.Recipe(canonical=form.canonical("unheard.of/1.2-rc+3", inputs, **PARAMS))
    found = client.graph.Insert(graph_pb2.InsertRequest(recipes=[in_parts, as_bytes])).addrs
    same("both forms of one recipe", list(found), [every, every])
    (answer,) = client.graph.Get(graph_pb2.GetNodesRequest(addrs=[every, addr, inputs[0]]))
    same("canonical bytes", answer.nodes[0].node.canonical, as_bytes.canonical)
    same("what is a recipe", [it.HasField("node") for it in answer.nodes], [True, True, False])


def many(server, client):
    """insert: five thousand recipes in one call"""
    recipes = [("bytes.slice/1", [form.blob_addr(b"many")], {"offset": at}) for at in range(5000)]
    asked = [form.recipe(function, inputs, **params) for function, inputs, params in recipes]
    expected = [form.recipe_addr(function, inputs, **params) for function, inputs, params in recipes]
    same("addresses", list(client.graph.Insert(graph_pb2.InsertRequest(recipes=asked)).addrs), expected)
    answers = client.graph.Dependents(graph_pb2.DependentsRequest(addr=form.blob_addr(b"many")))
    same("dependents", [addr for answer in answers for addr in answer.addrs], sorted(expected))


def outputs(server, client):
    """outputs: what a recipe was found to give, and nothing before it was computed"""
    addr = insert(client, "text.upper/1", [put(client, b"loud")])
    asked = graph_pb2.OutputsRequest(addrs=[addr, form.blob_addr(b"nothing")])
    recorded = lambda: [it.output.addr if it.HasField("output") else None for it in client.graph.Outputs(asked).outputs]
    same("before", recorded(), [None, None])
    list(run(client, addr))
    same("after", recorded(), [form.blob_addr(b"LOUD"), None])


def walk(server, client):
    """walk: what an address is made from, to a depth"""
    leaf, other = put(client, b"leaf"), put(client, b"other")
    upper = insert(client, "text.upper/1", [leaf])
    both = insert(client, "bytes.concat/1", [upper, other, leaf])
    parts = list(client.graph.Walk(graph_pb2.WalkRequest(addr=both)))
    nodes = [node for part in parts for node in part.nodes]
    same("nodes", [(node.addr, node.depth) for node in nodes], [(both, 0), (upper, 1), (other, 1), (leaf, 1)])
    leaf_state, absent = graph_pb2.NODE_STATE_LEAF, graph_pb2.NODE_STATE_ABSENT
    same("states", [node.state for node in nodes], [absent, absent, leaf_state, leaf_state])
    edges = {(edge.recipe_place, edge.input, edge.input_place) for part in parts for edge in part.edges}
    same("edges", edges, {(0, 0, 1), (0, 1, 2), (0, 2, 3), (1, 0, 3)})
    (part,) = client.graph.Walk(graph_pb2.WalkRequest(addr=both, depth=0))
    same("the address alone", ([node.addr for node in part.nodes], part.left_out), ([both], 3))


def roots(server, client):
    """roots: names are set, listed by their order and removed"""
    addr = put(client, b"named")
    for name in ["python-b", "python-a"]:
        client.graph.SetRoot(graph_pb2.SetRootRequest(name=name, addr=addr, must_exist=True))
    listed = lambda: [root.name for answer in client.graph.Roots(graph_pb2.RootsRequest()) for root in answer.roots]
    same("names", listed(), ["python-a", "python-b"])
    remove = lambda: client.graph.RemoveRoot(graph_pb2.RemoveRootRequest(name="python-a")).removed
    same("removed", [remove(), remove()], [True, False])
    same("names after that", listed(), ["python-b"])


def functions(server, client):
    """functions: what the server can apply, with params"""
    docs = client.graph.Functions(graph_pb2.FunctionsRequest()).functions
    (repeat,) = [doc for doc in docs if doc.function.name == "bytes.repeat"]
    holds("it has a description", repeat.description != "")
    same("params", [(param.name, param.kind, param.required) for param in repeat.params], [("times", "int", True)])


CHECKS = [addresses, many, outputs, walk, roots, functions]
