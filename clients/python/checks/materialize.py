"""Computing, and asking what that would take."""

from deriva.v1 import admin_pb2, explain_pb2, graph_pb2, materialize_pb2

from . import form
from .calls import bytes_of, get, insert, put, result_of, run
from .serving import holds, same, until


def three_steps(client, text):
    """A light function, a heavy one over it, and a light one over both."""
    upper = insert(client, "text.upper/1", [put(client, text)])
    burnt = insert(client, "bench.burn/1", [upper], units=20)
    return upper, burnt, insert(client, "bytes.concat/1", [upper, burnt], separator=": ")


def events(server, client):
    """run: planned, then computed and started in the order of the graph, then the result, then its bytes"""
    upper, burnt, joined = three_steps(client, b"events")
    wanted = materialize_pb2.Wanted(events=True, progress=True, bytes=True)
    answers = list(run(client, joined, wanted=wanted, request_id="python-events"))
    order = [answer.WhichOneof("said") for answer in answers]
    holds(f"events, results, bytes: {order}", order == sorted(order, key=["event", "result", "bytes"].index))
    happened = [(it.event.WhichOneof("event"), it.event) for it in answers if it.HasField("event")]
    same("the plan", (happened[0][0], happened[0][1].planned.compute), ("planned", 3))
    steps = [(kind, getattr(event, kind).addr) for kind, event in happened if kind in ("started", "computed")]
    same("steps", steps, [("computed", upper), ("started", burnt), ("computed", burnt), ("computed", joined)])
    new = [event.computed.reason for kind, event in happened if kind == "computed"]
    same("reasons", set(new), {materialize_pb2.REASON_NEW})
    content = bytes_of(answers)
    holds(f"the bytes: {content}", content.startswith(b"EVENTS: "))
    result = result_of(answers)
    same("the result", result.results[0].stat.addr, form.blob_addr(content))
    same("numbers", (result.summary.planned, result.summary.computed, result.summary.failed), (3, 3, 0))
    same("what is stored", get(client, form.blob_addr(content))[1], content)


def reused(server, client):
    """run: the second time nothing is computed, and the event says so"""
    *_, joined = three_steps(client, b"again")
    list(run(client, joined))
    answers = list(run(client, joined, wanted=materialize_pb2.Wanted(events=True)))
    kinds = [answer.event.WhichOneof("event") for answer in answers if answer.HasField("event")]
    same("events", kinds, ["planned", "reused"])
    summary = result_of(answers).summary
    same("numbers", (summary.computed, summary.reused), (0, 1))


def failures_among_results(server, client):
    """run: with keep_going one target fails, the other does not, and both are told"""
    good = insert(client, "text.upper/1", [put(client, b"good")])
    bad = insert(client, "compress.gunzip/2", [put(client, b"bad")])
    result = result_of(run(client, good, bad, keep_going=True))
    first, second = result.results
    same("the good one", first.stat.addr, form.blob_addr(b"GOOD"))
    holds("the bad one has an error with its path", list(second.error.path) == [bad])
    same("numbers", (result.summary.computed, result.summary.failed), (1, 1))


def given_up(server, client):
    """run: who drops the stream gives the request up, and the server does no more for it"""
    long = insert(client, "bench.burn/1", [put(client, b"given up")], units=20_000)
    stream = run(client, long, wanted=materialize_pb2.Wanted(events=True))
    until_started(stream)
    stream.cancel()
    status = lambda: client.admin.Status(admin_pb2.StatusRequest()).under_way
    until("nothing is under way", lambda: (status().requests, status().flights, status().slots_in_use) == (0, 0, 0))


def until_started(stream):
    """Reads up to the event that a heavy recipe is being run."""
    for answer in stream:
        if answer.HasField("event") and answer.event.HasField("started"):
            return
    holds("it started", False)


def explain(server, client):
    """explain and why: what would be computed, before and after it is"""
    upper, burnt, joined = three_steps(client, b"explain")

    def explained():
        answers = list(client.materialize.Explain(explain_pb2.ExplainRequest(addrs=[joined])))
        nodes = [(node.addr, node.state) for answer in answers for node in answer.nodes.nodes]
        return nodes, answers[-1].done.forecast.computed

    why = lambda: client.materialize.Why(explain_pb2.WhyRequest(addr=joined)).state
    nodes, computed = explained()
    absent, present = graph_pb2.NODE_STATE_ABSENT, graph_pb2.NODE_STATE_PRESENT
    same("states", nodes[:3], [(joined, absent), (upper, absent), (burnt, absent)])
    same("the leaf", nodes[3:], [(form.blob_addr(b"explain"), graph_pb2.NODE_STATE_LEAF)])
    same("recipes", (computed, why()), (3, absent))
    list(run(client, joined))
    same("after that", (explained(), why()), (([(joined, present)], 0), present))


def diff(server, client):
    """diff: the param and the blob in which two graphs differ"""
    before, after = (
        insert(client, "bytes.repeat/1", [insert(client, "text.upper/1", [put(client, text)])], times=times)
        for text, times in [(b"before", 2), (b"after", 3)]
    )
    *parts, done = client.materialize.Diff(explain_pb2.DiffRequest(before=before, after=after))
    found = {it.WhichOneof("kind"): it for part in parts for it in part.differences.differences}
    same("kinds", set(found), {"param_changed", "blob_changed"})
    param = found["param_changed"].param_changed
    same("the param", (param.name, param.before.int_value, param.after.int_value), ("times", 2, 3))
    blob = found["blob_changed"]
    same("the blobs", (blob.before, blob.after), (form.blob_addr(b"before"), form.blob_addr(b"after")))
    same("the way to them", [passed.function.name for passed in blob.path], ["bytes.repeat", "text.upper"])
    same("all of it", done.done.truncated, False)


CHECKS = [events, reused, failures_among_results, given_up, explain, diff]
