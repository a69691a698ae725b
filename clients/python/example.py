"""A client of deriva in twenty lines: puts a text, describes what is to be made of it, and asks for that.

    python example.py localhost:6733
"""

import sys

import grpc
from deriva.v1 import blobs_pb2, blobs_pb2_grpc, graph_pb2, graph_pb2_grpc, materialize_pb2, materialize_pb2_grpc, types_pb2

channel = grpc.insecure_channel(sys.argv[1])
blobs, graph = blobs_pb2_grpc.BlobsStub(channel), graph_pb2_grpc.GraphStub(channel)
materialize = materialize_pb2_grpc.MaterializeStub(channel)

frame = blobs_pb2.PutRequest(begin=blobs_pb2.PutBegin(), chunk=b"to be or not to be", end=True)
text = blobs.Put(iter([frame])).blobs[0].addr
count = types_pb2.RecipeParts(function=types_pb2.FunctionId(name="text.word_count", version="1"), inputs=[text])
counted = graph.Insert(graph_pb2.InsertRequest(recipes=[types_pb2.Recipe(parts=count)])).addrs[0]

wanted = materialize_pb2.Wanted(events=True, bytes=True)
for answer in materialize.Run(materialize_pb2.RunRequest(targets=[counted], wanted=wanted)):
    if answer.WhichOneof("said") == "event":
        print(answer.event.WhichOneof("event"), file=sys.stderr)
    elif answer.WhichOneof("said") == "bytes":
        sys.stdout.buffer.write(answer.bytes.chunk)
