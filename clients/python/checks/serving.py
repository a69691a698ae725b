"""A server as a process, and the calls that can be made to it."""

import os
import re
import signal
import subprocess
import threading
import time

import grpc
from deriva.v1 import admin_pb2_grpc, blobs_pb2_grpc, graph_pb2_grpc, materialize_pb2_grpc
from grpc_health.v1 import health_pb2_grpc

# Seconds after which something that should happen soon does not happen any more.
PATIENCE = 60


class Failed(Exception):
    """What is wrong, in words."""


def same(what, found, expected):
    if found != expected:
        raise Failed(f"{what}: {expected!r} was expected, found {found!r}")


def holds(what, is_so):
    if not is_so:
        raise Failed(what)


def until(what, is_so):
    """Waits until something is so."""
    end = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > end:
            raise Failed(f"not within {PATIENCE} s: {what}")
        time.sleep(0.02)


class Client:
    """One connection, and the services on it."""

    def __init__(self, address, credentials=None):
        # A pool of its own: else channels to one address share a connection.
        options = [("grpc.use_local_subchannel_pool", 1)]
        if credentials:
            self.channel = grpc.secure_channel(address, credentials, options)
        else:
            self.channel = grpc.insecure_channel(address, options)
        self.blobs = blobs_pb2_grpc.BlobsStub(self.channel)
        self.graph = graph_pb2_grpc.GraphStub(self.channel)
        self.materialize = materialize_pb2_grpc.MaterializeStub(self.channel)
        self.admin = admin_pb2_grpc.AdminStub(self.channel)
        self.health = health_pb2_grpc.HealthStub(self.channel)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()


class Server:
    """`deriva serve` on ports that are free."""

    def __init__(self, command, store, *more):
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("DERIVA_", "OTEL_", "RUST_LOG"))}
        ports = ["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]
        self.store = store
        self.process = subprocess.Popen(
            [command, "--store", f"sled:{store}", "serve", *ports, *map(str, more)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.said, self.ready = [], threading.Event()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.ready.wait(PATIENCE)
        found = re.search(r"ready: deriva://(\S+), http://(\S+)", "".join(self.said))
        if not found:
            self.kill()
            raise Failed(f"the server did not begin:\n{''.join(self.said)}")
        self.address, self.http = found.groups()

    def _read(self):
        for line in self.process.stderr:
            self.said.append(line)
            if line.startswith("ready: "):
                self.ready.set()
        self.ready.set()

    def client(self):
        return Client(self.address)

    def begin_to_stop(self):
        self.process.send_signal(signal.SIGTERM)

    def ended(self):
        """Its exit code and all that it said, once it has ended."""
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise Failed(f"the server did not end within {PATIENCE} s") from None
        self.reader.join(PATIENCE)
        return code, "".join(self.said)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.reader.join(PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
