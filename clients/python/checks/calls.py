"""Calls that most checks need, in a line each."""

from deriva.v1 import blobs_pb2, graph_pb2, materialize_pb2, types_pb2

from . import form
from .serving import same


def frames(content, size=64 << 10, expect=None):
    """A blob as the frames of `Put`, with or without its address and length before it."""
    pieces = [content[at : at + size] for at in range(0, len(content), size)] or [b""]
    for place, piece in enumerate(pieces):
        begin = blobs_pb2.PutBegin(expect=expect) if place == 0 else None
        yield blobs_pb2.PutRequest(begin=begin, chunk=piece, end=place == len(pieces) - 1)


def stat(content):
    return types_pb2.BlobStat(addr=form.blob_addr(content), len=len(content))


def put(client, content):
    """Puts a blob, and answers with its address."""
    (found,) = client.blobs.Put(frames(content)).blobs
    same("the address of a blob", found.addr, form.blob_addr(content))
    return found.addr


def insert(client, function, inputs=(), **params):
    """Inserts a recipe, and answers with its address."""
    asked = graph_pb2.InsertRequest(recipes=[form.recipe(function, inputs, **params)])
    (found,) = client.graph.Insert(asked).addrs
    same("the address of a recipe", found, form.recipe_addr(function, inputs, **params))
    return found


def run(client, *targets, wanted=None, **options):
    """The stream of a request."""
    return client.materialize.Run(materialize_pb2.RunRequest(targets=targets, wanted=wanted, **options))


def get(client, addr, **byte_range):
    """The bytes of a blob, or of a range of it, and what was told of it first."""
    asked = types_pb2.ByteRange(**byte_range) if byte_range else None
    answers = list(client.blobs.Get(blobs_pb2.GetBlobRequest(addr=addr, range=asked)))
    return answers[0].stat, b"".join(answer.chunk for answer in answers)


def result_of(answers):
    """The result of a stream: it comes in parts."""
    result = materialize_pb2.RunResult()
    for answer in answers:
        if answer.HasField("result"):
            result.MergeFrom(answer.result)
    return result


def bytes_of(answers):
    """The bytes of a stream with one target."""
    return b"".join(answer.bytes.chunk for answer in answers if answer.HasField("bytes"))
