"""A server that is told to stop while a call is under way."""

import socket
import threading
import urllib.error
import urllib.request

from deriva.v1 import graph_pb2, materialize_pb2
from grpc_health.v1 import health_pb2

from . import form
from .calls import bytes_of, insert, put, result_of, run
from .kinds import told_in_full
from .materialize import until_started
from .serving import Client, same
from .told import refused


class Passage:
    """Passes one connection on to a server. From `hold` on it keeps back what the server says, until `release`."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.server = (host, int(port))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.open = threading.Event()
        self.open.set()
        self.hold, self.release = self.open.clear, self.open.set
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        client, _ = self.listener.accept()
        self.listener.close()
        server = socket.create_connection(self.server)
        always = threading.Event()
        always.set()
        for source, sink, may in [(client, server, always), (server, client, self.open)]:
            threading.Thread(target=self._pass, args=(source, sink, may), daemon=True).start()

    @staticmethod
    def _pass(source, sink, may):
        try:
            while piece := source.recv(1 << 16):
                may.wait()
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            # One of the two is gone.
            pass


def ready(server):
    try:
        with urllib.request.urlopen(f"http://{server.http}/readyz", timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def draining(server, client):
    """SIGTERM: health turns to NOT_SERVING while a call is under way, which comes to its end; then the server ends with 0"""
    long = insert(client, "bench.burn/1", [put(client, b"draining")], units=3000)
    passage = Passage(server.address)
    with Client(passage.address) as late:
        watch = client.health.Watch(health_pb2.HealthCheckRequest())
        same("health before", next(watch).status, health_pb2.HealthCheckResponse.SERVING)
        same("readiness before", ready(server), 200)
        # So that this connection has a call, too.
        lease = late.materialize.Lease(materialize_pb2.LeaseRequest())
        next(lease)
        stream = run(client, long, wanted=materialize_pb2.Wanted(events=True, bytes=True))
        until_started(stream)
        # This client does not hear that the connection is about to end, and calls as if nothing was.
        passage.hold()
        server.begin_to_stop()
        same("health while it drains", next(watch).status, health_pb2.HealthCheckResponse.NOT_SERVING)
        same("readiness while it drains", ready(server), 503)
        told = late.graph.Functions.future(graph_pb2.FunctionsRequest())
        answers = list(stream)
        (result,) = result_of(answers).results
        same("the result of the call that was under way", result.stat.addr, form.blob_addr(bytes_of(answers)))
        passage.release()
        told_in_full(refused(told.result), "UNAVAILABLE", set(), "again", retry=True)
        watch.cancel()
        lease.cancel()
        code, said = server.ended()
        same("the exit code", (code, said.splitlines()[-1]), (0, "stopped"))


CHECKS = [draining]
