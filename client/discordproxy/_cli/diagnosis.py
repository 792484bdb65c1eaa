"""Checks of a proxy, each problem with its fix. Used by `discordproxy status` and `discordproxy doctor`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

import grpc
from google.protobuf.wrappers_pb2 import Int32Value, StringValue

from discordproxy._cli.console import call_console
from discordproxy._grpc.connection_errors import Problem, connection_problem
from discordproxy.exceptions import (
    DiscordProxyException,
    DiscordProxyGrpcError,
    DiscordProxyHttpError,
    DiscordProxyTimeoutError,
    never_left,
    to_discord_proxy_exception,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from discordproxy.client import DiscordClient
    from discordproxy.discord_api_pb2 import ComputePermissionsResponse

_SERVING = 1
_SERVICES = {
    "": ("proxy", "it is starting, draining, or has lost its broker: read its log"),
    "broker": ("broker", "no request is sent without it, because rate limits cannot be kept: start it"),
    "gateway": (
        "gateway",
        "messages are sent without it, but caches and events are not updated: check that its worker runs",
    ),
}
# By JSON error code: fixes of the errors that a first message often causes.
_DISCORD_HINTS = {
    10003: "Check the id: right-click the channel in Discord (developer mode on) and copy it.",
    10008: "The message was deleted, or is in another channel.",
    10013: "Check the id: right-click the user in Discord (developer mode on) and copy it.",
    50001: "The bot has no access: invite it to the server and give its role the permission View Channel.",
    50007: "The user refuses direct messages: user and bot must share a server, and the user must allow them there.",
    50013: "The bot's role lacks a permission in the channel, such as Send Messages or Embed Links.",
}


class Diagnosis(NamedTuple):
    """The result of one check.

    Attributes:
        subject: What was checked.
        good: Whether the check passed.
        text: The result.
        fix: How to fix the problem; empty if there is none.
    """

    subject: str
    good: bool
    text: str
    fix: str = ""


def diagnose(client: DiscordClient, timeout: float | None, *, channel_id: int = 0) -> Iterator[Diagnosis]:
    """Yield the finding of each check; without connection, a single one.

    Args:
        client: A client of the proxy to check.
        timeout: Seconds for each check; None: no limit.
        channel_id: A channel to which the bot shall be able to send messages; 0: none.
    """
    try:
        health = {service: _health(client, service, timeout) for service in _SERVICES}
    except DiscordProxyException as error:
        yield _problem("proxy", error, client.target)
        return
    yield from (health[""], health["broker"])
    try:
        checks = call_console(client, "Doctor", timeout)
    except DiscordProxyException as error:
        yield _problem("checks", error, client.target)
        checks = None
    if checks is None:
        yield from (health["gateway"], _bot(client, timeout))
    else:
        yield from (Diagnosis(**each) for each in checks)
    if channel_id:
        yield from _channel(client, channel_id, timeout)


def _health(client: DiscordClient, service: str, timeout: float | None) -> Diagnosis:
    """Call grpc.health.v1. Its messages are wire compatible with protobuf's wrappers of a string and a number."""
    subject, fix = _SERVICES[service]
    check = client.channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=StringValue.SerializeToString,
        response_deserializer=Int32Value.FromString,
    )
    try:
        status: Int32Value = check(StringValue(value=service), timeout=timeout)
    except grpc.RpcError as ex:
        if ex.code() in {grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.NOT_FOUND}:
            return Diagnosis(subject, good=True, text="does not report its health")
        raise to_discord_proxy_exception(ex) from ex
    serving = status.value == _SERVING
    return Diagnosis(subject, serving, "serving" if serving else "not serving", "" if serving else fix)


def _channel(client: DiscordClient, channel_id: int, timeout: float | None) -> Iterator[Diagnosis]:
    """Yield whether the bot can send messages to a channel, or the permissions it lacks."""
    subject = f"channel {channel_id}"
    try:
        channel = client.get_channel(channel_id, timeout=timeout)
        if not channel.guild_id:
            yield Diagnosis(subject, good=True, text="a DM channel, which has no permissions")
            return
        found = client.compute_permissions(channel.guild_id, channel_id=channel_id, timeout=timeout)
    except DiscordProxyException as error:
        yield _problem(subject, error, client.target)
        return
    if found.can_send:
        yield Diagnosis(subject, good=True, text=f"the bot can send messages to {channel.name!r}{_no_pins(found)}")
    for denial in found.missing:
        lacking = f"the bot lacks the permission {denial.permission}"
        text = lacking if denial.permission else "the bot cannot send messages there"  # a category has no messages
        yield Diagnosis(subject, good=False, text=text, fix=denial.advice)


def _no_pins(found: ComputePermissionsResponse) -> str:
    """Return a note about bots that could pin until February 2026, when Discord split the permissions."""
    granted = set(found.names)
    if "MANAGE_MESSAGES" not in granted or "PIN_MESSAGES" in granted:
        return ""
    return ", but not pin them: that needs PIN_MESSAGES, which MANAGE_MESSAGES does not include"


def _bot(client: DiscordClient, timeout: float | None) -> Diagnosis:
    try:
        bot = client.get_current_user(timeout=timeout)
    except DiscordProxyException as error:
        return _problem("bot", error, client.target)
    return Diagnosis("bot", good=True, text=f"{bot.username} ({bot.id})")


def _problem(subject: str, error: Exception, target: str) -> Diagnosis:
    problem = explain(error, target)
    return Diagnosis(subject, good=False, text=problem.text, fix=problem.fix)


def explain(error: Exception, target: str) -> Problem:
    """Return the problem and its fix, which may be empty, as text for a terminal."""
    if isinstance(error, DiscordProxyHttpError):
        text = f"Discord returned an error: {error.text} (HTTP {error.status}, code {error.code})"
        if error.status == 401:  # noqa: PLR2004 -- the HTTP status
            return Problem(text, "The bot token is wrong or revoked: configure the proxy with the current one.")
        return Problem(text, _DISCORD_HINTS.get(error.code, ""))
    if isinstance(error, DiscordProxyTimeoutError):
        arrived = "nothing was sent" if error.sent == "no" else "whether it was sent is unknown"
        text = f"No response from {target} in time: {arrived}"
        return Problem(text, "Increase --timeout, or run `discordproxy status`.")
    if isinstance(error, DiscordProxyGrpcError):
        return _explain_grpc(error, target)
    return Problem(str(error), "")


def _explain_grpc(error: DiscordProxyGrpcError, target: str) -> Problem:
    if never_left(error.status, error.details):
        return connection_problem(target, error.details, tls=bool(os.environ.get("DISCORDPROXY_CA")))
    if error.status is grpc.StatusCode.UNAUTHENTICATED:
        return Problem(error.text, "Set DISCORDPROXY_API_KEY to the API key of your application.")
    wait = f" Try again in {error.retry_after:.0f} s." if error.retry_after else ""
    request = f" See request {error.request_id} in the log of the proxy." if error.request_id else ""
    return Problem(f"{error.status.name}: {error.text}", f"{wait}{request}".strip())
