"""Speed of translating a typical message, against protobuf's own json_format.

    make bench-translate

Prints microseconds of CPU time per message, and the ratios, which depend less on the machine.
"""

import time
import timeit
from collections.abc import Callable
from functools import partial

import orjson
from google.protobuf import json_format

from discordproxy import discord_api_pb2 as pb
from discordproxy_api.contract.contract import load_contract, request_parts
from discordproxy_api.contract.encode import Writers
from discordproxy_api.contract.translate import Translator

DOCUMENT = {
    "id": "1263488021389066240",
    "channel_id": "1263488021389066111",
    "type": 0,
    "content": "Fleet leaves at **19:00** from Jita 4-4, doctrine is in the pinned message. Bring ammo and logistics!",
    "timestamp": "2026-07-18T17:21:09.123000+00:00",
    "edited_timestamp": None,
    "tts": False,
    "mention_everyone": False,
    "pinned": False,
    "flags": 0,
    "nonce": "b1946ac92492d2347c6235b4d",
    "author": {
        "id": "1263488021389066001",
        "username": "fleet-bot",
        "discriminator": "0000",
        "avatar": "8342729096ea3675442027381ff50dfe",
        "bot": True,
        "global_name": None,
        "public_flags": 0,
    },
    "mentions": [],
    "mention_roles": ["1263488021389066900", "1263488021389066901"],
    "attachments": [],
    "embeds": [
        {
            "type": "rich",
            "title": "Strategic operation",
            "description": "Armour fleet, at least 60 pilots, expected to last two hours. Full replacement programme.",
            "color": 15158332,
            "url": "https://example.com/operations/4711",
            "footer": {"text": "Operations", "icon_url": "https://example.com/icon.png"},
            "thumbnail": {"url": "https://example.com/thumb.png", "width": 64, "height": 64},
            "fields": [
                {"name": "Commander", "value": "Boris", "inline": True},
                {"name": "Doctrine", "value": "Armour BS", "inline": True},
                {"name": "Duration", "value": "2 h", "inline": True},
            ],
        }
    ],
    "components": [],
    "message_reference": {"message_id": "1263488021389066555", "channel_id": "1263488021389066111", "type": 0},
}


def microseconds(function: Callable[[], object]) -> float:
    """Return the CPU time of one call in us, the best of seven passes: the least disturbed by other processes."""
    return min(timeit.repeat(function, timer=time.process_time, number=1000, repeat=7)) / 1000 * 1e6


def request_of(message: pb.Message) -> pb.SendChannelMessageRequest:
    """Return a request like the given message, with more fields: its body is as long as the document."""
    request = pb.SendChannelMessageRequest(
        channel_id=message.channel_id,
        content=message.content,
        embeds=message.embeds,
        allowed_mentions=pb.AllowedMentions(roles=message.mention_roles),
        message_reference=message.message_reference,
        nonce=message.nonce,
    )
    embed = request.embeds[0]
    embed.author.name = "Fleet Bot"
    embed.timestamp = message.timestamp
    for number in range(1, 7):
        embed.fields.add(name=f"Wing {number}", value=f"{10 * number} pilots", inline=True)
    return request


def main() -> None:
    """Measure both directions, with and without the JSON text, and print one line each."""
    rpc = load_contract()["SendChannelMessage"]
    translator = Translator(rpc)
    write_body = Writers().body_writer(rpc.request, request_parts(rpc).body)
    raw = orjson.dumps(DOCUMENT)
    request = request_of(translator.incoming(DOCUMENT).message)
    result = {"message": {**DOCUMENT, "message_reference": {"message_id": "1263488021389066555"}}}
    result_text = orjson.dumps(result)
    to_dict = partial(json_format.MessageToDict, request, preserving_proto_field_name=True)
    to_text = partial(json_format.MessageToJson, request, preserving_proto_field_name=True, indent=None)
    response = pb.SendChannelMessageResponse
    lines = {
        "out, body": (lambda: write_body(request), to_dict),
        "out, request": (lambda: translator.outgoing(request), to_dict),
        "out, to bytes": (lambda: orjson.dumps(translator.outgoing(request).body), to_text),
        "in": (
            lambda: translator.incoming(DOCUMENT),
            lambda: json_format.ParseDict(result, response(), ignore_unknown_fields=True),
        ),
        "in, from bytes": (
            lambda: translator.incoming(orjson.loads(raw)),
            lambda: json_format.Parse(result_text, response(), ignore_unknown_fields=True),
        ),
    }
    print(f"JSON: {len(orjson.dumps(write_body(request)))} bytes out, {len(raw)} bytes in")  # noqa: T201 - a benchmark prints
    for name, (ours, theirs) in lines.items():
        us, generic_us = microseconds(ours), microseconds(theirs)
        print(f"{name:15}{us:6.1f} us  json_format {generic_us:6.1f} us  {generic_us / us:4.1f} times faster")  # noqa: T201 - same


if __name__ == "__main__":
    main()
