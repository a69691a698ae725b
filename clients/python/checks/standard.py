"""What every gRPC service has: reflection and health; and what is told of the whole."""

import json
import urllib.request

import grpc
from deriva.v1 import admin_pb2, blobs_pb2, graph_pb2, materialize_pb2
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from .serving import holds, same, until
from .told import refused

FILES = [admin_pb2, blobs_pb2, graph_pb2, materialize_pb2]
SERVICES = {f"deriva.v1.{name}" for file in FILES for name in file.DESCRIPTOR.services_by_name}


def reflection(server, client):
    """reflection: services and calls are those of the .proto files, asked of the server alone"""
    database = ProtoReflectionDescriptorDatabase(client.channel)
    services = set(database.get_services())
    holds(f"{SERVICES} are among {services}", SERVICES <= services)
    holds(f"health and reflection are, too: {services}", len({it for it in services if it.startswith("grpc.")}) >= 2)
    pool = DescriptorPool(database)
    for file in FILES:
        for service in file.DESCRIPTOR.services_by_name.values():
            same(f"calls of {service.full_name}", described(pool.FindServiceByName(service.full_name)), described(service))


def described(service):
    """The calls of a service, with what they take and give."""
    message = descriptor_pb2.ServiceDescriptorProto()
    service.CopyToProto(message)
    return sorted(method.SerializeToString(deterministic=True) for method in message.method)


def health(server, client):
    """health: SERVING for the whole and each service, NOT_FOUND for what there is not"""
    for service in ["", *sorted(SERVICES)]:
        answer = client.health.Check(health_pb2.HealthCheckRequest(service=service))
        same(f"health of {service!r}", answer.status, health_pb2.HealthCheckResponse.SERVING)
    told = refused(lambda: client.health.Check(health_pb2.HealthCheckRequest(service="no.such")))
    same("another", told.code, grpc.StatusCode.NOT_FOUND)


def status(server, client):
    """status: what is stored and under way, by gRPC as by HTTP"""
    ask = lambda: client.admin.Status(admin_pb2.StatusRequest())
    until("nothing is under way", lambda: (ask().under_way.requests, ask().under_way.flights) == (0, 0))
    told = ask()
    same("the store", (told.blob_store, told.dag_store), (f"sled:{server.store}", f"sled:{server.store}"))
    holds("something is stored", told.recipes > 0 and told.blobs > 0 and told.blob_bytes > 0 and told.outputs > 0)
    holds("there is an executor with slots", told.under_way.slots > 0 and told.executor != "")
    with urllib.request.urlopen(f"http://{server.http}/status", timeout=30) as answer:
        same("recipes by HTTP", json.load(answer)["status"]["recipes"], told.recipes)


def another(server, client):
    """a call that there is not: UNIMPLEMENTED"""
    call = client.channel.unary_unary("/deriva.v1.Blobs/Frobnicate", request_serializer=bytes, response_deserializer=bytes)
    same("the code", refused(lambda: call(b"")).code, grpc.StatusCode.UNIMPLEMENTED)


CHECKS = [reflection, health, status, another]
