"""The text that a started server prints: addresses, log file, a first command. Pure."""

from dataclasses import dataclass

SANDBOX_CHANNEL = 500000000000000001
"""A text channel that exists in every new sandbox."""


@dataclass(frozen=True)
class BannerFacts:
    """Contents of the banner.

    Attributes:
        version: of Discord Proxy.
        address: `host:port` of gRPC.
        workers: number of API workers.
        rest: URL of the REST port, or "".
        http: URL of the first worker's HTTP port, or "".
        broker: URL of Redis, without secrets.
        private: whether that is this machine's private Valkey.
        discord: base URL of Discord's REST API.
        sandbox: whether that URL is the sandbox's.
        log: path of the log file.
        bots: names of the bots, if there are several.
        tls: whether the ports use TLS.
        keys: whether API keys are required.
        command: the command `discordproxy`, as called in a shell.
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
    rest: str = ""
    bots: tuple[str, ...] = ()
    tls: bool = False
    keys: bool = False


def banner(facts: BannerFacts) -> str:
    """Return the text of the banner."""
    host, _, port = facts.address.rpartition(":")
    target = f"localhost:{port}" if host in {"127.0.0.1", "localhost", "0.0.0.0", "[::]"} else facts.address
    option = "" if target == "localhost:50051" else f" --target {target}"
    terminal = f"{facts.command} status{option}"
    rows = [
        ("gRPC", f"{facts.address} ({facts.workers} worker{'s' * (facts.workers != 1)}{', TLS' * facts.tls})"),
        ("REST", f"{facts.rest}/api/v10 (base URL for any Discord library)" if facts.rest else ""),
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
        "DISCORDPROXY_API_KEY: set it to the application's API key; `discordproxy keys new` creates one" * facts.keys,
        "DISCORDPROXY_CA: set it to the file of the CA that signed this server's certificate" * facts.tls,
    ]
    curl = _curl(facts, channel) if facts.rest else ""
    hint = "".join(f"\n({text})" for text in hints if text)
    return (
        f"Discord Proxy {facts.version} is ready.\n{table}\n"
        f"Send a first message, in another shell:\n"
        f'  {facts.command} message channel {channel} "Hello, world!"{option}{curl}{hint}\n'
        f"Ctrl-C stops everything."
    )


def _curl(facts: BannerFacts, channel: str) -> str:
    """Return a line that sends a message through the REST port."""
    key = ' -H "Authorization: Bot $DISCORDPROXY_API_KEY"' * facts.keys
    ca = ' --cacert "$DISCORDPROXY_CA"' * facts.tls
    body = "-H 'Content-Type: application/json' -d '{\"content\": \"Hello, world!\"}'"
    return f"\n  curl{ca}{key} {body} {facts.rest}/api/v10/channels/{channel}/messages"
