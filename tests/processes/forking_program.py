"""A program that forks forty children while its threads keep calling the proxy, and prints the failures.

Run as `python forking_program.py ADDRESS GUILD`; it requests the channels of that guild. A process of its own, because
gRPC's fork handling depends on the process's earlier use of gRPC.
"""

import json
import os
import sys
import threading

from discordproxy.client import DiscordClient, DiscordProxyException

CHILDREN, BUSY_THREADS, CALLS_OF_A_CHILD = 40, 2, 5


def main(address: str, guild: int) -> None:
    client = DiscordClient(address, timeout=30, retries=0)
    stopping = threading.Event()
    failures: list[str] = []

    def keep_calling() -> None:
        while not stopping.is_set():
            try:
                client.get_guild_channels(guild)
            except DiscordProxyException as error:  # noqa: PERF203 -- the loop must go on
                failures.append(str(error))

    callers = [threading.Thread(target=keep_calling) for _ in range(BUSY_THREADS)]
    for caller in callers:
        caller.start()
    children = [forked(client, address, guild) for _ in range(CHILDREN)]
    statuses = [os.waitpid(child, 0)[1] for child in children]
    stopping.set()
    for caller in callers:
        caller.join()
    client.close()
    print(json.dumps({"children": statuses, "parent": failures}))  # noqa: T201 -- what the test reads


def forked(client: DiscordClient, address: str, guild: int) -> int:
    client.get_guild_channels(guild)
    if (child := os.fork()) == 0:
        os._exit(child_calls(client, address, guild))
    return child


def child_calls(inherited: DiscordClient, address: str, guild: int) -> int:
    """Return the exit status of a child that uses the inherited client and one of its own."""
    try:
        for _ in range(CALLS_OF_A_CHILD):
            inherited.get_guild_channels(guild)
            DiscordClient(address, timeout=30, retries=0).get_guild_channels(guild)
    except BaseException:  # noqa: BLE001 -- no code of the parent may run in a child
        return 1
    return 0


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
