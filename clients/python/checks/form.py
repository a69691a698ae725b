"""Addresses and recipes, made without deriva: by `docs/reference/addresses.md`, with `blake3` and `cbor2` of PyPI."""

from deriva.v1 import types_pb2

import cbor2
from blake3 import blake3

CONTEXT = "deriva recipe v1"


def blob_addr(content):
    return blake3(content).digest()


def canonical(function, inputs=(), **params):
    """The canonical bytes of a recipe; `function` as `text.upper/1`."""
    name, version = function.split("/")
    return cbor2.dumps([1, name, version, list(inputs), params], canonical=True)


def recipe_addr(function, inputs=(), **params):
    return blake3(canonical(function, inputs, **params), derive_key_context=CONTEXT).digest()


def value(content):
    """A param as a message."""
    match content:
        case None:
            return types_pb2.Value(null_value=types_pb2.Null())
        case bool():
            return types_pb2.Value(bool_value=content)
        case int():
            return types_pb2.Value(int_value=content)
        case float():
            return types_pb2.Value(float_value=content)
        case str():
            return types_pb2.Value(text_value=content)
        case bytes():
            return types_pb2.Value(bytes_value=content)
        case list():
            return types_pb2.Value(list_value=types_pb2.List(values=map(value, content)))
        case dict():
            return types_pb2.Value(map_value=types_pb2.Map(values={key: value(item) for key, item in content.items()}))
    raise TypeError(f"no param: {content!r}")


def recipe(function, inputs=(), **params):
    """A recipe as a message, in parts: the server makes the canonical bytes."""
    name, version = function.split("/")
    params = {key: value(content) for key, content in params.items()}
    parts = types_pb2.RecipeParts(function=types_pb2.FunctionId(name=name, version=version), inputs=inputs, params=params)
    return types_pb2.Recipe(parts=parts)
