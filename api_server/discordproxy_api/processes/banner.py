"""What a started server tells the person in front of it: what runs where, and what to try first. Pure."""

from dataclasses import dataclass

SANDBOX_CHANNEL = 500000000000000001
"""A text channel that every fresh sandbox has."""


@dataclass(frozen=True)
class BannerFacts:
    """What runs where.

    Attributes:
        version: of Discord Proxy.
        address: `host:port` of gRPC.
        workers: number of API workers.
        http: URL of the first worker's HTTP port, or an empty text.
        broker: the Redis URL without its secrets.
        private: whether that is the private Valkey of this machine.
        discord: base URL of Discord's REST API.
        sandbox: whether that is the sandbox.
        log: path of the log file.
        bots: their names, where there are several.
        tls: whether the ports are encrypted.
        keys: whether applications need keys.
        command: how to call `discordproxy` in a shell.
    """

    version: str
    address: str
    workers: int
    http: str
    broker: str
    private: bool
    discord: str
    sandbox: bool
    log: str
    command: str
    bots: tuple[str, ...] = ()
    tls: bool = False
    keys: bool = False


def greeting(facts: BannerFacts) -> str:
    """Return the lines for the console."""
    host, _, port = facts.address.rpartition(":")
    target = f"localhost:{port}" if host in {"127.0.0.1", "localhost", "0.0.0.0", "[::]"} else facts.address
    option = "" if target == "localhost:50051" else f" --target {target}"
    terminal = f"{facts.command} status{option}"
    rows = [
        ("gRPC", f"{facts.address} ({facts.workers} worker{'s' * (facts.workers != 1)}{', TLS' * facts.tls})"),
        ("status", f"{facts.http}/ (and /metrics, /readyz), or: {terminal}" if facts.http else terminal),
        ("broker", f"{facts.broker} ({'private Valkey of this machine' if facts.private else 'as configured'})"),
        ("Discord", f"{facts.discord}{' (sandbox: nothing leaves this machine)' if facts.sandbox else ''}"),
        ("bots", ", ".join(facts.bots)),
        ("log", facts.log),
    ]
    table = "\n".join(f"  {name:8}{value}" for name, value in rows if value)
    channel = str(SANDBOX_CHANNEL) if facts.sandbox else "CHANNEL_ID"
    hints = [
        "CHANNEL_ID: in Discord, Settings > Advanced > Developer Mode, then Copy Channel ID" * (not facts.sandbox),
        "DISCORDPROXY_API_KEY: set it to the application's key; `discordproxy keys new` makes one" * facts.keys,
        "DISCORDPROXY_CA: set it to the file of the authority that issued this server's certificate" * facts.tls,
    ]
    hint = "".join(f"\n({text})" for text in hints if text)
    return (
        f"Discord Proxy {facts.version} is ready.\n{table}\n"
        f"Send a first message, in another shell:\n"
        f'  {facts.command} message channel {channel} "Hello, world!"{option}{hint}\n'
        f"Ctrl-C stops everything."
    )
