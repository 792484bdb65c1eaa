"""The contract as data: services, messages, enums and their comments, from descriptors and proto files."""

import ast
import importlib
import pkgutil
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, FileDescriptor, MethodDescriptor

import discordproxy
from discordproxy.annotations_pb2 import json_key, path_param, route
from sources.proto_comments import read_comments

ROOT = Path(__file__).resolve().parents[3]
PROTOS = ROOT / "protos" / "discordproxy"
CALLS = ROOT / "client" / "discordproxy" / "_async"
SERVICE = "discord_api.DiscordApi"
VERBS = ("get", "put", "post", "patch", "delete")


@cache
def comments() -> dict[str, str]:
    """Return the comments of the contract by full name."""
    return read_comments(sorted(PROTOS.glob("*.proto")))


@cache
def files() -> tuple[FileDescriptor, ...]:
    """Return the files of the contract in the order of their names."""
    names = sorted(each.name for each in pkgutil.iter_modules(discordproxy.__path__) if each.name.endswith("_pb2"))
    return tuple(importlib.import_module(f"discordproxy.{name}").DESCRIPTOR for name in names)


def stem(file: FileDescriptor) -> str:
    """Return the name of a proto file without its folder and suffix."""
    return Path(file.name).stem


def methods() -> list[MethodDescriptor]:
    """Return every RPC of every service."""
    services = (service for file in files() for service in file.services_by_name.values())
    return [method for service in services for method in service.methods]


def messages(file: FileDescriptor) -> list[Descriptor]:
    """Return the messages of a file, each followed by the messages in it; entries of maps are left out."""
    found: list[Descriptor] = []
    for message in file.message_types_by_name.values():
        found += _with_nested(message)
    return found


def _with_nested(message: Descriptor) -> list[Descriptor]:
    nested = (each for each in message.nested_types if not each.GetOptions().map_entry)
    return [message, *(inner for each in nested for inner in _with_nested(each))]


def enums(file: FileDescriptor) -> list[EnumDescriptor]:
    """Return the enums of a file and of its messages."""
    inner = [enum for message in messages(file) for enum in message.enum_types]
    return [*file.enum_types_by_name.values(), *inner]


def http_route(method: MethodDescriptor) -> str:
    """Return the method and path of Discord's route, or ""."""
    annotation = method.GetOptions().Extensions[route]
    verb = annotation.WhichOneof("pattern")
    return f"{verb.upper()} {getattr(annotation, verb)}" if verb else ""


def annotation(method: MethodDescriptor) -> Any:
    """Return the route annotation of an RPC."""
    return method.GetOptions().Extensions[route]


def discord_key(field: FieldDescriptor) -> str:
    """Return the name of a field at Discord if it differs."""
    options = field.GetOptions()
    return options.Extensions[json_key] or options.Extensions[path_param] or ""


@cache
def client_methods() -> dict[str, tuple[str, str]]:
    """Return for each RPC the group and the name of the Python client's method that calls it."""
    found: dict[str, tuple[str, str]] = {}
    for path in sorted(CALLS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
                for rpc in _called(node):
                    found.setdefault(rpc, (path.stem, node.name))
    return found


def _called(node: ast.AST) -> list[str]:
    return [
        each.attr
        for each in ast.walk(node)
        if isinstance(each, ast.Attribute) and isinstance(each.value, ast.Attribute) and each.value.attr == "stub"
    ]
