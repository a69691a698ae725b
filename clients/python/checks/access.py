"""A server with tokens, and with room for few calls."""

import grpc
from deriva.v1 import admin_pb2, blobs_pb2, graph_pb2, materialize_pb2
from grpc_health.v1 import health_pb2

from .calls import frames, stat
from .kinds import told_in_full
from .serving import same, until
from .told import refused

SECRETS = {role: f"{role}-0123456789abcdef" for role in ["read", "write", "admin"]}
# Calls at once: more than those whose end the server has not noticed yet.
ROOM = 16


def tokens():
    """A file of tokens."""
    return "".join(f'[[token]]\nname = "{role}"\nrole = "{role}"\nsecret = "{secret}"\n' for role, secret in SECRETS.items())


def bearer(secret):
    return [("authorization", f"Bearer {secret}")]


def read(client, metadata):
    return client.blobs.Stat(blobs_pb2.StatRequest(addrs=[stat(b"x").addr]), metadata=metadata)


def write(client, metadata):
    return client.blobs.Put(frames(b"written"), metadata=metadata)


def keep_house(client, metadata):
    return list(client.admin.Collect(admin_pb2.CollectRequest(dry_run=True), metadata=metadata))


def roles(server, client):
    """tokens: none, a wrong one, and what each role may"""
    unknown, denied = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED
    for what, metadata, expected in [
        ("no token", None, [unknown] * 3),
        ("a wrong token", bearer("wrong-0123456789abcdef"), [unknown] * 3),
        ("another scheme", [("authorization", f"Basic {SECRETS['admin']}")], [unknown] * 3),
        ("read", bearer(SECRETS["read"]), [None, denied, denied]),
        ("write", bearer(SECRETS["write"]), [None, None, denied]),
        ("admin", bearer(SECRETS["admin"]), [None, None, None]),
    ]:
        for call, code in zip([read, write, keep_house], expected):
            if code is None:
                call(client, metadata)
            else:
                told = refused(lambda: call(client, metadata))
                same(f"{what}: {call.__name__}", (told.code, told.kind), (code, None))


def open_to_all(server, client):
    """tokens: whether it is well everybody may ask, and what the calls are only who may read"""
    answer = client.health.Check(health_pb2.HealthCheckRequest())
    same("health", answer.status, health_pb2.HealthCheckResponse.SERVING)
    told = refused(lambda: client.graph.Functions(graph_pb2.FunctionsRequest()))
    same("functions", told.code, grpc.StatusCode.UNAUTHENTICATED)


def overloaded(server, client):
    """FULL: more calls at once than there is room for, told at once, with the time after which to try again"""
    metadata = bearer(SECRETS["write"])
    leases = []
    for _ in range(ROOM):
        lease = client.materialize.Lease(materialize_pb2.LeaseRequest(), metadata=metadata)
        next(lease)
        leases.append(lease)
    told = refused(lambda: read(client, metadata))
    told_in_full(told, "FULL", set(), "later", retry=True)
    same("health is asked all the same", client.health.Check(health_pb2.HealthCheckRequest()).status, health_pb2.HealthCheckResponse.SERVING)
    for lease in leases:
        lease.cancel()

    def there_is_room():
        try:
            return read(client, metadata) is not None
        except grpc.RpcError:
            return False

    until("there is room again", there_is_room)


CHECKS = [roles, open_to_all, overloaded]
