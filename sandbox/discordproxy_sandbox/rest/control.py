"""The control API: reads the ledger and controls the sandbox over HTTP, for tests in other processes.

Every POST takes `{"do": "<action>", ...arguments}`; the README lists the actions.
"""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from inspect import isawaitable
from typing import Any

import orjson
from aiohttp import web

from discordproxy_sandbox.errors import DiscordError
from discordproxy_sandbox.gateway.gateway import SandboxGateway
from discordproxy_sandbox.ledger import Ledger
from discordproxy_sandbox.limits.book import HiddenLimit, LimitBook, RouteLimit
from discordproxy_sandbox.resources.people import People
from discordproxy_sandbox.rest.faults import Fault, Faults
from discordproxy_sandbox.world.population import add_guilds
from discordproxy_sandbox.world.world import World

Action = Callable[..., Any]
_Handler = Callable[[web.Request], Awaitable[web.Response]]


class Control:
    """Handlers below /_sandbox."""

    def __init__(
        self, world: World, people: People, limits: LimitBook, faults: Faults, ledger: Ledger, gateway: SandboxGateway
    ) -> None:
        self._world = world
        self._ledger = ledger
        self._gateway = gateway
        self._actions: dict[str, dict[str, Action]] = {
            "ledger": {"clear": ledger.clear},
            "faults": {"add": lambda **fault: faults.add(Fault(**fault)), "clear": faults.clear},
            "limits": {
                "set": lambda route, **limit: limits.set(route, RouteLimit(**limit) if limit else None),
                "set_hidden": lambda route, hidden: limits.set_hidden(route, [HiddenLimit(**one) for one in hidden]),
                "set_global": limits.set_global,
                "change_hash": limits.change_hash,
            },
            "world": {
                "forbid": world.forbid,
                "allow": world.allow,
                "add_guilds": self._add_guilds,
                "remove_guild": world.remove_guild,
                "add_user": people.add,
                "add_emoji": people.add_emoji,
                "join": people.join,
                "leave": people.leave,
                "edit_member": people.edit_member,
                "write": people.write,
                "write_dm": people.write_dm,
                "vote": people.vote,
                "interact": people.interact,
                "speak": people.speak,
                "list_old_commands": world.list_old_commands,
            },
            "gateway": {
                "emit": gateway.emit,
                "emit_frame": gateway.emit_frame,
                "fault": gateway.faults.set,
                "clear_faults": gateway.faults.clear,
                "drop": gateway.drop,
                "reconnect": gateway.ask_to_reconnect,
                "invalidate": gateway.invalidate,
                "close": gateway.close,
                "set_available": gateway.set_available,
            },
        }

    def add_to(self, app: web.Application) -> None:
        """Register the handlers with a server."""
        app.router.add_get("/_sandbox/ledger", self._get_ledger)
        app.router.add_get("/_sandbox/stats", self._get_stats)
        for topic, actions in self._actions.items():
            app.router.add_post(f"/_sandbox/{topic}", _acting(actions))

    def _add_guilds(self, guilds: int, members: int = 0, channels: int = 5) -> list[str]:
        ids = add_guilds(self._world, guilds, members, channels)
        for guild_id in ids:
            self._gateway.announce(guild_id)
        return ids

    async def _get_ledger(self, http: web.Request) -> web.Response:
        since = int(http.query.get("since", 0))
        records = [record.as_json() for record in self._ledger.records if record.number > since]
        return _json({"records": records, "stored": [asdict(one) for one in self._ledger.stored]})

    async def _get_stats(self, _http: web.Request) -> web.Response:
        return _json({"rest": self._ledger.stats(), "gateway": self._gateway.stats})


def _acting(actions: dict[str, Action]) -> _Handler:
    async def handler(http: web.Request) -> web.Response:
        try:
            arguments = orjson.loads(await http.read())
            result = actions[arguments.pop("do")](**arguments)
            if isawaitable(result):
                result = await result
        except KeyError as error:
            return _json({"error": f"{error} is missing or unknown; known actions: {', '.join(actions)}"}, 400)
        except (TypeError, ValueError, DiscordError) as error:
            return _json({"error": str(error)}, 400)
        return _json({"result": result})

    return handler


def _json(content: object, status: int = 200) -> web.Response:
    return web.Response(status=status, content_type="application/json", body=orjson.dumps(content))
