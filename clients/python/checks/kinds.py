"""Each kind of error that a client meets, with all that is told of it."""

import os

from deriva.v1 import admin_pb2, blobs_pb2, errors_pb2, graph_pb2, materialize_pb2, types_pb2

from . import form
from .calls import frames, get, insert, put, run, stat
from .serving import Failed, holds, same
from .told import refused

# The code of each kind, as `errors.proto` lists them.
CODES = {
    "NOT_FOUND": "NOT_FOUND",
    "INVALID": "INVALID_ARGUMENT",
    "UNSUPPORTED": "UNIMPLEMENTED",
    "CONFLICT": "FAILED_PRECONDITION",
    "LOCKED": "ABORTED",
    "CORRUPT": "DATA_LOSS",
    "FULL": "RESOURCE_EXHAUSTED",
    "UNAVAILABLE": "UNAVAILABLE",
    "TIMEOUT": "DEADLINE_EXCEEDED",
    "CANCELLED": "CANCELLED",
    "NONDETERMINISTIC": "ALREADY_EXISTS",
    "FUNCTION": "UNKNOWN",
    "INTERNAL": "INTERNAL",
}
# Kinds that no client can bring about, and why.
NOT_MET = {
    "LOCKED": "a server holds its store before it listens: it is the second server on a store that is told so, and it ends",
    "CANCELLED": "who gives a call up is told so by its own gRPC library, and reads nothing of the server any more",
    "FUNCTION": "functions of one's own fail or panic; those that `deriva serve` has say INVALID of inputs that they cannot take",
    "INTERNAL": "a defect; nothing is known that makes one",
}
# Kinds that are met elsewhere.
MET_ELSEWHERE = {"UNAVAILABLE": "ending.py, by a call to a server that is about to stop"}


def told_in_full(told, kind, context, hint, retry=False):
    """Code and kind belong together; of the context there are these keys; the hint has these words."""
    same(f"code and kind of {told}", (told.code.name, told.kind), (CODES[kind], kind))
    holds(f"context {context}: {told}", context <= set(told.context))
    holds(f"a hint with {hint!r}: {told}", hint in told.hint)
    same(f"retry advice of {told}", told.retry_after is not None, retry)
    for words in [told.hint, *told.context.values()]:
        holds(f"the message tells the same in one line: {told}", words in told.message or told.message.endswith("more]"))


def not_found(server, client):
    """NOT_FOUND: a blob that is not stored, a recipe over one, and an address of which nothing is known"""
    gone = form.blob_addr(b"nobody put this")
    told_in_full(refused(lambda: get(client, gone)), "NOT_FOUND", {"addr"}, "")
    told = refused(lambda: run(client, gone))
    told_in_full(told, "NOT_FOUND", {"addr"}, "put")
    over = insert(client, "text.upper/1", [gone])
    told = refused(lambda: run(client, over))
    told_in_full(told, "NOT_FOUND", {"addr"}, "put")
    same("the path", told.path, [over, gone])


def invalid(server, client):
    """INVALID: other bytes than stated, an address that is none, frames out of order, a param that is none"""
    content = b"what comes"
    other = refused(lambda: client.blobs.Put(frames(content, expect=stat(b"what was s"))))
    told_in_full(other, "INVALID", {"expected", "found"}, "")
    same("what was found", other.context["found"], form.blob_addr(content).hex())
    longer = refused(lambda: client.blobs.Put(frames(content, expect=types_pb2.BlobStat(addr=form.blob_addr(content), len=3))))
    told_in_full(longer, "INVALID", set(), "")
    short = refused(lambda: client.blobs.Stat(blobs_pb2.StatRequest(addrs=[b"short"])))
    told_in_full(short, "INVALID", set(), "")
    headless = refused(lambda: client.blobs.Put(iter([blobs_pb2.PutRequest(chunk=b"x", end=True)])))
    told_in_full(headless, "INVALID", set(), "`begin`")
    nan = form.recipe("text.upper/1", [form.blob_addr(b"")], x=float("nan"))
    told_in_full(refused(lambda: client.graph.Insert(graph_pb2.InsertRequest(recipes=[nan]))), "INVALID", set(), "")
    mode = refused(lambda: run(client, put(client, content), determinism="sometimes"))
    told_in_full(mode, "INVALID", set(), "")


def refused_input(server, client):
    """INVALID: a function that cannot take its input, with the way to it"""
    bad = insert(client, "compress.gunzip/2", [put(client, b"no gzip at all")])
    above = insert(client, "text.upper/1", [bad])
    told = refused(lambda: run(client, above))
    told_in_full(told, "INVALID", {"function", "addr", "expected", "found"}, "gzip")
    same("where", (told.context["function"], told.context["addr"]), ("compress.gunzip/2", bad.hex()))
    same("the path", told.path, [above, bad])


def unsupported(server, client):
    """UNSUPPORTED: a function that the server does not have, before any work"""
    stranger = insert(client, "no.such/7", [put(client, b"stranger")])
    told = refused(lambda: run(client, stranger))
    told_in_full(told, "UNSUPPORTED", {"unknown_functions", "addr"}, "functions")
    same("what it lacks", told.context["unknown_functions"], "no.such/7")


def conflict(server, client):
    """CONFLICT: a recipe is not removed while another needs it"""
    below = insert(client, "text.upper/1", [put(client, b"conflict")])
    insert(client, "text.lower/1", [below])
    told = refused(lambda: client.graph.Remove(graph_pb2.RemoveRecipesRequest(addrs=[below])))
    told_in_full(told, "CONFLICT", {"addr", "dependent"}, "")


def corrupt(server, client):
    """CORRUPT: a blob whose file was damaged on the disk"""
    addr = put(client, os.urandom(100_000))
    files = [path for path in server.store.rglob("*") if addr.hex()[-16:] in path.name]
    holds(f"the blob is one file: {files}", len(files) == 1)
    files[0].chmod(0o600)
    with files[0].open("r+b") as file:
        file.seek(50_000)
        byte = file.read(1)[0]
        file.seek(50_000)
        file.write(bytes([byte ^ 1]))
    told_in_full(refused(lambda: get(client, addr)), "CORRUPT", {"addr"}, "")


def full(server, client):
    """FULL: more than the quota of stored bytes, told before the bytes are sent"""
    begin = blobs_pb2.PutBegin(expect=types_pb2.BlobStat(addr=form.blob_addr(b"large"), len=1 << 40))
    told = refused(lambda: client.blobs.Put(iter([blobs_pb2.PutRequest(begin=begin)])))
    told_in_full(told, "FULL", {"stored", "more", "quota"}, "quota")
    same("what was more", told.context["more"], str(1 << 40))


def timeout(server, client):
    """TIMEOUT: a request that may not take as long as it does"""
    long = insert(client, "bench.burn/1", [put(client, b"timeout")], units=20_000)
    told = refused(lambda: run(client, long, deadline=types_pb2.Duration(nanos=50_000_000), request_id="python-timeout"))
    # Who notices first, the request or the executor of the step, tells it in words of its own.
    told_in_full(told, "TIMEOUT", {"request"}, "")
    same("the request", told.context["request"], "python-timeout")


def nondeterministic(server, client):
    """NONDETERMINISTIC: a function that lies is caught, stands in the ledger, and can be released"""
    liar = insert(client, "bench.liar/1", [put(client, b"lie")], p=1.0)
    told = refused(lambda: run(client, liar, determinism="dual"))
    told_in_full(told, "NONDETERMINISTIC", {"function"}, "")
    same("the path", told.path, [liar])
    (entry,) = [
        entry
        for answer in client.admin.Ledger(admin_pb2.LedgerRequest(recipe=liar))
        for entry in answer.entries
    ]
    same("the entry", (entry.recipe, entry.released, len(entry.violation.answers)), (liar, False, 2))
    suspects = client.admin.Quarantine(admin_pb2.QuarantineRequest()).suspects
    same("suspects", [(it.function.name, list(it.entries)) for it in suspects], [("bench.liar", [liar])])
    same("released", client.admin.Release(admin_pb2.ReleaseRequest(recipe=liar)).released, 1)


def every_kind(server, client):
    """every kind of the protocol was met, or the reason why none can be is given"""
    kinds = {name.removeprefix("ERROR_KIND_") for name in errors_pb2.ErrorKind.keys()} - {"UNSPECIFIED"}
    met = {check.__doc__.split(":")[0] for check in KINDS} | set(MET_ELSEWHERE)
    same("kinds", met | set(NOT_MET), kinds)
    same("kinds that are met and cannot be", met & set(NOT_MET), set())
    same("codes", set(CODES), kinds)


KINDS = [not_found, invalid, refused_input, unsupported, conflict, corrupt, full, timeout, nondeterministic]
CHECKS = [*KINDS, every_kind]
