"""Hundreds of wrong keys: each is refused, hardly any leaves a line, and good keys are served meanwhile."""

import asyncio
import json
import logging
from collections import Counter

import grpc

from discordproxy import discord_api_pb2 as pb
from discordproxy_api.access.keys import digest_of, new_key
from integration.api.access.test_access import CHANNEL, keyed

GUESSES = 600


async def test_guessing_keys(discord, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    async with keyed(discord, tmp_path, {}) as keyed_:
        stub, answers = keyed_.served.stub, Counter()

        async def guess(number: int) -> None:
            key = (keyed_.key[:-1] + "~", new_key(), digest_of(keyed_.key), "x" * 4_000, keyed_.key[:-1])[number % 5]
            request = pb.SendChannelMessageRequest(channel_id=CHANNEL, content="x")
            try:
                await stub.SendChannelMessage(request, metadata=[("authorization", f"Bearer {key}")])
            except grpc.aio.AioRpcError as error:
                answers[error.code().name, json.loads(error.details())["reason"]] += 1

        guessing = asyncio.gather(*(guess(number) for number in range(GUESSES)))
        while not guessing.done():
            await keyed_.call("GetChannel", channel_id=CHANNEL)
        await guessing
        wrong = keyed_.served.worker.metrics.registry.get_sample_value("discordproxy_wrong_keys_total")
    assert answers == {("UNAUTHENTICATED", "UNAUTHENTICATED"): 9, ("UNAUTHENTICATED", "LOCKED_OUT"): GUESSES - 9}
    assert wrong == GUESSES
    lines = [line for line in caplog.messages if "wrong key" in line or "UNAUTHENTICATED" in line]
    assert len(lines) <= 3 * 9 + 1  # the wrong key, the call and its audit; then that the address is locked out
    assert not discord.world.channels[str(CHANNEL)].messages
    assert keyed_.key[4:-1] not in caplog.text
