"""Bytes, both ways."""

import os

from deriva.v1 import blobs_pb2

from . import form
from .calls import frames, get, put, stat
from .serving import holds, same


def several_frames(server, client):
    """put: a blob in several frames, whose address and length were stated before"""
    content = os.urandom(3 << 20)
    sent = list(frames(content, expect=stat(content)))
    holds("several frames", len(sent) > 2)
    same("what was put", list(client.blobs.Put(iter(sent)).blobs), [stat(content)])


def several_blobs(server, client):
    """put: several blobs in one stream, an empty one among them"""
    blobs = [b"", b"one", os.urandom(200_000)]
    sent = (frame for content in blobs for frame in frames(content))
    same("what was put", list(client.blobs.Put(sent).blobs), [stat(content) for content in blobs])


def whether_it_is_there(server, client):
    """stat and missing: what is stored, and what is not"""
    here, gone = put(client, b"it is here"), form.blob_addr(b"it is not")
    stats = client.blobs.Stat(blobs_pb2.StatRequest(addrs=[here, gone])).stats
    same("lengths", [it.len if it.HasField("len") else None for it in stats], [10, None])
    missing = client.blobs.Missing(blobs_pb2.MissingRequest(addrs=[here, gone, here]))
    same("what is missing", list(missing.addrs), [gone])


def ranges(server, client):
    """get: all of a blob, and ranges of it, within and beyond"""
    content = os.urandom(2 << 20)
    addr = put(client, content)
    whole = stat(content)
    for asked, expected in [
        ({}, content),
        ({"offset": 0, "len": 1}, content[:1]),
        ({"offset": 70_000, "len": 1_000_000}, content[70_000:1_070_000]),
        ({"offset": 2_000_000}, content[2_000_000:]),
        ({"offset": 2_000_000, "len": 1 << 40}, content[2_000_000:]),
        ({"offset": 1 << 40, "len": 5}, b""),
        ({"offset": 5, "len": 0}, b""),
    ]:
        told, found = get(client, addr, **asked)
        same(f"what is told first of {asked}", told, whole)
        holds(f"{asked}: other bytes", found == expected)


def listed(server, client):
    """list and verify: every blob by its address"""
    addr = put(client, b"to be listed")
    found = [blob.addr for answer in client.blobs.List(blobs_pb2.ListBlobsRequest()) for blob in answer.blobs]
    same("the order", found, sorted(found))
    holds("it is in the list", addr in found)
    (check,) = client.blobs.Verify(blobs_pb2.VerifyRequest(addrs=[addr])).checks
    holds("it was checked", check in (blobs_pb2.BLOB_CHECK_READ, blobs_pb2.BLOB_CHECK_REMEMBERED))


CHECKS = [several_frames, several_blobs, whether_it_is_there, ranges, listed]
