"""Properties of RPCs, read from the contract's annotations."""

from __future__ import annotations

from discordproxy.annotations_pb2 import route
from discordproxy.discord_api_pb2 import DESCRIPTOR

_METHODS = DESCRIPTOR.services_by_name["DiscordApi"].methods_by_name
_READS_WITHOUT_ROUTE = frozenset({"GetVoiceStates", "ComputePermissions", "ListCommands"})


def is_rpc(name: str) -> bool:
    """Return whether the service has a unary RPC of this name."""
    return name in _METHODS and not _METHODS[name].server_streaming


def request_name(rpc: str) -> str:
    """Return the name of an RPC's request message."""
    name: str = _METHODS[rpc].input_type.name
    return name


def is_read(rpc: str) -> bool:
    """Return whether an RPC only reads, so that a retry is always safe."""
    return rpc in _READS_WITHOUT_ROUTE or _METHODS[rpc].GetOptions().Extensions[route].WhichOneof("pattern") == "get"
