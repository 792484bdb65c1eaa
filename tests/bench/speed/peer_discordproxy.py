"""Runs discordproxy 1.5.1 against a Discord on this machine: `python peer_discordproxy.py DISCORD_PORT PORT`.

It runs in the environment of version 1, so it imports nothing of this project.
"""

import sys

from discord.http import Route

from discordproxy import _server

discord_port, port = sys.argv[1:]
Route.API_BASE_URL = f"http://127.0.0.1:{discord_port}/api/v10"
sys.argv[1:] = ["--port", port]
_server.main()
