"""`discordproxymessage` and `discordproxy`, as people and scripts see them."""

import io
import json
import os
import shutil
import subprocess
import types

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckResponse

from discordproxy._cli import main
from discordproxy._cli.completion import SHELLS, script
from discordproxy.discord_api_pb2 import (
    OVERFLOW_SPLIT,
    Channel,
    ChannelResponse,
    ComputePermissionsResponse,
    Message,
    SendChannelMessageResponse,
    SendDirectMessageResponse,
    User,
    UserResponse,
)
from fakes.scripted_proxy import fail, scripted_proxy

SERVING, NOT_SERVING = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING
HEALTHY = {"": SERVING, "broker": SERVING, "gateway": SERVING}
NOBODY = "127.0.0.1:1"

WORKER = {"host": "host", "pid": 7, "number": 0, "version": "2.0.0", "started_at": 0.0, "state": "serving"}
WORKER |= {"in_progress": 1, "waiting": 7, "rss_mib": 80.0}
STATUS = {
    "at": 7300.0,
    "version": "2.0.0",
    "workers": [WORKER, WORKER | {"pid": 8, "state": "draining"}],
    "bots": [
        {
            "bot": "main",
            "global": {"limit": 50, "taken": 3, "waiting": 1, "blocked_for_s": 2.0},
            "gateway": {
                "ready": False,
                "failure": "The token was revoked",
                "identifies_left": 3,
                "guilds": 2,
                "shards": [{"shard": 0, "state": "ready", "held": False, "leader": "", "reason": "", "events": 12}],
            },
        },
    ],
    "circuit": {
        "state": "half_open",
        "open_for_s": 0.0,
        "invalid": 9,
        "invalid_limit": 10000,
        "problems": ["The circuit is half open since 3 min: Discord's edge blocks this machine's address."],
    },
    "waiting": 7,
    "buckets": [
        {
            "bot": "main",
            "route": "POST /x",
            "major": "channel_id=1",
            "limit": 5,
            "remaining": 0,
            "reset_after_s": 4.5,
            "waiting": 7,
        }
        | {"oldest_s": 130.0}
    ],
    "limited": {"user": 3},
    "apps": [{"app": "srp", "calls": 60, "failures": 4}],
    "ticks": {
        "every_s": 5,
        "calls": [0, 20, 20, 20, 20],
        "failures": [0, 2, 1, 1, 0],
        "p50_ms": [None, 30.0, 40.0, None, None],
        "p95_ms": [None, 30.0, 1500.0, None, None],
    },
    "errors": [
        {"rpc": "GetChannel", "status": "NOT_FOUND", "reason": "DISCORD_ERROR", "code": 10003, "count": 4, "ago_s": 3.0}
        | {"app": "srp", "request_id": "r1", "meaning": "Discord knows no such channel", "fix": "Check the id."}
    ],
}


@pytest.fixture
def proxy():
    with scripted_proxy(health=HEALTHY) as server:
        server.script("SendChannelMessage", SendChannelMessageResponse(message=Message(id=7, channel_id=5)))
        yield server


@pytest.fixture
def run(capsys):
    """Return a function that runs `discordproxy` and returns exit status, output and errors."""

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main.main(arguments)
        return ended.value.code, *capsys.readouterr()

    return run


class TestDiscordproxymessage:
    def test_sends(self, proxy, capsys):
        host, _, port = proxy.address.rpartition(":")
        proxy.script("SendDirectMessage", SendDirectMessageResponse())
        main.message_main(["direct", "3", "Hello", "--host", host, "--port", port])
        assert capsys.readouterr().out == "Message sent\n"
        assert (proxy.received[0].rpc, proxy.received[0].request.content) == ("SendDirectMessage", "Hello")

    def test_error(self, proxy, capsys):
        host, _, port = proxy.address.rpartition(":")
        details = {"type": "HTTPException", "status": 404, "code": 10013, "text": "Unknown User"}
        proxy.script("SendDirectMessage", fail(grpc.StatusCode.NOT_FOUND, details))
        with pytest.raises(SystemExit) as ended:
            main.message_main(["direct", "3", "Hello", "--host", host, "--port", port])
        assert ended.value.code == 1
        assert capsys.readouterr().out == (
            "ERROR: HTTP error from the Discord API. HTTP status code: 404 - JSON error code: 10013 - "
            "Error message: Unknown User\n"
        )


class TestMessage:
    def test_text(self, proxy, run):
        status, out, err = run("message", "channel", "5", "Hello", "--target", proxy.address)
        assert (status, out, err) == (0, "Message 7 sent\n", "")
        assert proxy.received[0].time_left < 30.5

    def test_direct_message_has_a_link(self, proxy, run):
        proxy.script("SendDirectMessage", SendDirectMessageResponse(message=Message(id=7, channel_id=5)))
        _, out, _ = run("message", "direct", "3", "Hello", "--target", proxy.address)
        assert out == "Message 7 sent: https://discord.com/channels/@me/5/7\n"

    def test_everything(self, proxy, run, tmp_path):
        (tmp_path / "plot.png").write_bytes(b"plot")
        (tmp_path / "embed.json").write_text('{"title": "from file"}')
        options = [
            "--title",
            "T",
            "--description",
            "D",
            "--embed-json",
            f"@{tmp_path}/embed.json",
            "--silent",
            "--json",
        ]
        options += ["--file", f"{tmp_path}/plot.png", "--reply-to", "6", "--target", proxy.address]
        options += ["--overflow", "split", "--key", "report-1"]
        status, out, _ = run("message", "channel", "5", *options)
        assert (status, json.loads(out)["id"]) == (0, "7")
        request = proxy.received[0].request
        assert [(embed.title, embed.description) for embed in request.embeds] == [("from file", ""), ("T", "D")]
        assert (request.files[0].filename, request.message_reference.message_id, request.flags) == ("plot.png", 6, 4096)
        assert (request.overflow, request.options.idempotency_key) == (OVERFLOW_SPLIT, "report-1")

    def test_long_text_in_parts(self, proxy, run):
        message, rest = Message(id=8, channel_id=5), Message(id=9, channel_id=5)
        proxy.answers.clear()
        proxy.script("SendChannelMessage", SendChannelMessageResponse(message=message, more_messages=[rest]))
        _, out, _ = run("message", "channel", "5", "long", "--overflow", "split", "--target", proxy.address)
        assert out == "Message 8 sent in 2 parts\n"

    def test_interrupted(self, proxy, run, monkeypatch):
        def interrupt(_size):
            raise KeyboardInterrupt

        monkeypatch.setattr("sys.stdin", types.SimpleNamespace(read=interrupt))
        assert run("message", "channel", "5", "-", "--target", proxy.address) == (130, "", "")

    @pytest.mark.parametrize("content", [[], ["-"]])
    def test_from_a_pipe(self, proxy, run, monkeypatch, content):
        monkeypatch.setattr("sys.stdin", io.StringIO("line 1\nline 2\n"))
        assert run("message", "channel", "5", *content, "--target", proxy.address)[0] == 0
        assert proxy.received[0].request.content == "line 1\nline 2"

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (["--embed-json", "{broken"], "--embed-json: Expecting property name"),
            (["--embed-json", "[" * 100_000], "--embed-json: maximum recursion depth exceeded"),
            (["--embed-json", "[1]"], "must be an Embed or a dictionary, not list"),
            (["--embed-json", '{"titel": "x"}'], 'has no field named "titel"'),
            (["--file", "no-such-file"], "No such file"),
            (["--target", "one:1,two:2"], "one DNS name"),
        ],
    )
    def test_wrong_arguments(self, proxy, run, arguments, expected):
        status, _, err = run("message", "channel", "5", "x", "--target", proxy.address, *arguments)
        assert status == 2
        assert expected in err
        assert len(err.splitlines()) == 1
        assert not proxy.received

    def test_nobody_there(self, run):
        status, _, err = run("message", "channel", "5", "x", "--target", NOBODY)
        assert status == 3
        assert err.startswith(f"No server responds at {NOBODY}. Start the proxy with")

    @pytest.mark.parametrize(
        ("code", "details", "status", "expected"),
        [
            (
                grpc.StatusCode.PERMISSION_DENIED,
                {"type": "HTTPException", "status": 403, "code": 50001, "text": "Missing Access"},
                1,
                "give its role the permission View Channel",
            ),
            (
                grpc.StatusCode.UNAUTHENTICATED,
                {"type": "HTTPException", "status": 401, "code": 0, "text": "401: Unauthorized"},
                1,
                "token is wrong",
            ),
            (grpc.StatusCode.UNAUTHENTICATED, {"type": "ProxyException", "text": "No key."}, 1, "DISCORDPROXY_API_KEY"),
            (grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", 4, "whether it was sent is unknown"),
            (
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                {"type": "ProxyException", "text": "Full", "sent": "no", "retry_after": 3.2, "request_id": "r9"},
                1,
                "Try again in 3 s. See request r9 in the log of the proxy.",
            ),
        ],
    )
    def test_errors_teach(self, run, code, details, status, expected):
        with scripted_proxy() as proxy:
            proxy.script("SendChannelMessage", fail(code, details))
            found, out, err = run("message", "channel", "5", "x", "--target", proxy.address)
        assert (found, out) == (status, "")
        assert expected in err
        assert ".." not in err


class TestStatusAndDoctor:
    def test_all_well(self, proxy, run):
        proxy.script("GetCurrentUser", UserResponse(user=User(id=9, username="Helper")))
        status, out, _ = run("status", "--target", proxy.address)
        assert status == 0
        assert out.splitlines()[1:] == [
            "  ok   proxy: serving",
            "  ok   broker: serving",
            "  ok   gateway: serving",
            "  ok   bot: Helper (9)",
        ]

    def test_problems_come_with_their_fix(self, run):
        with scripted_proxy(health={"": NOT_SERVING, "broker": NOT_SERVING}) as proxy:
            details = {"type": "HTTPException", "status": 401, "code": 0, "text": "401: Unauthorized"}
            proxy.script("GetCurrentUser", fail(grpc.StatusCode.UNAUTHENTICATED, details))
            status, out, _ = run("doctor", "--target", proxy.address)
            findings = json.loads(run("doctor", "--json", "--target", proxy.address)[1])
        assert status == 1
        lines = out.splitlines()
        assert lines[1] == "  BAD  proxy: not serving"
        assert "  ok   gateway: does not report its health" in lines
        assert lines[-1].strip().startswith("The bot token is wrong")
        assert [finding["good"] for finding in findings[:3]] == [False, False, True]
        assert all(finding["fix"] for finding in findings if not finding["good"])

    def test_proxy_without_health_service(self, run):
        with scripted_proxy() as proxy:
            status, out, _ = run("status", "--target", proxy.address)
        assert status == 0
        assert "proxy: does not report its health" in out

    def test_status_of_a_fleet_with_problems(self, run):
        with scripted_proxy(console={"Status": STATUS}) as proxy:
            status, out, _ = run("status", "--target", proxy.address)
            document = json.loads(run("status", "--json", "--target", proxy.address)[1])
        assert (status, document) == (1, STATUS)
        for line in (
            f"Discord Proxy 2.0.0 at {proxy.address}: needs attention",
            "  !! Worker host:8 is draining.",
            "  !! The circuit is half open since 3 min: Discord's edge blocks this machine's address.",
            "  !! Bot main: Discord's global limit was hit; nothing is sent for 2.0 s.",
            "  !! Bot main: The token was revoked",
            "  global   3 of 50 slots taken, 1 waiting for one (main)",
            "Bot main: Gateway: 2 guilds in the cache, 3 new sessions left today",
            "  calls    4.0 per second; 80 in five minutes, 4 failed",
            "  latency  median 40 ms, 95 % within 1.5 s",
            "  waiting  7 calls, the oldest for 2 min",
            "  429s     3 user in five minutes",
            "  main POST /x channel_id=1: 0 of 5 left, full in 4.5 s, 7 waiting for 2 min",
            "  shard 0    no leader   12 events",
            "    Discord knows no such channel. Check the id.",
        ):
            assert line in out.splitlines()

    def test_what_is_shown_is_named_and_what_is_not_is_counted(self, run):
        bucket = STATUS["buckets"][0] | {"name": "#gene\x1b[2Jral, Home"}
        failing = {"text": "35 % of the calls failed.", "fix": "Look at `it`."}
        left_out = {"buckets": 7, "apps": 3, "calls": 9, "failures": 2, "errors": 4}
        bots = [bot | {"gateway": bot["gateway"] | {"shard_count": 70}} for bot in STATUS["bots"]]
        told = STATUS | {"buckets": [bucket] * 12, "failing": [failing], "left_out": left_out, "bots": bots}
        with scripted_proxy(console={"Status": told}) as proxy:
            status, out, _ = run("status", "--target", proxy.address)
        assert status == 1
        lines = out.splitlines()
        assert "  !! 35 % of the calls failed. Look at `it`." in lines
        assert "(#gene[2Jral, Home): 0 of 5 left" in out
        for more in ("  and 9 more", "  and 4 more", "  and 69 more", f"  {'and 3 more':32} 9 calls, 2 failed"):
            assert more in lines

    def test_status_of_the_rest_port(self, run):
        worker = WORKER | {"rest": "127.0.0.1:50052", "rest_open": False}
        rest = {"addresses": ["127.0.0.1:50052"], "workers": 2, "open": 1}
        shown = STATUS | {"workers": [worker], "rest": rest, "doors": {"grpc": 70, "http": 30}}
        with scripted_proxy(console={"Status": shown}) as proxy:
            status, out, _ = run("status", "--target", proxy.address)
        assert status == 1
        assert "  !! Worker host:7: the REST port 127.0.0.1:50052 is closed." in out
        assert "  REST     127.0.0.1:50052, open on 1 of 2 workers; 30 of 100 calls in five minutes" in out

    def test_status_without_problems(self, run):
        gateway = {"ready": True, "failure": "", "identifies_left": None, "guilds": 1, "shards": []}
        calm = {
            "workers": [],
            "circuit": STATUS["circuit"] | {"state": "closed", "problems": []},
            "buckets": [],
            "errors": [],
        }
        limit = {"limit": 50, "taken": 0, "waiting": 0, "blocked_for_s": 0.0}
        calm |= {"apps": [], "limited": {}, "waiting": 0, "bots": [{"bot": "", "global": limit, "gateway": gateway}]}
        with scripted_proxy(console={"Status": STATUS | calm}) as proxy:
            status, out, _ = run("status", "--target", proxy.address)
        assert status == 0
        assert "all is well" in out
        assert "Gateway: 1 guild in the cache" in out

    def test_the_proxy_checks_itself(self, run):
        found = [{"subject": "token", "good": True, "text": "fine", "fix": ""}]
        found += [{"subject": "redis", "good": False, "text": "forgets", "fix": "Set it to noeviction."}]
        with scripted_proxy(health=HEALTHY, console={"Doctor": found}) as proxy:
            status, out, _ = run("doctor", "--target", proxy.address)
        assert status == 1
        expected = ["  ok   proxy: serving", "  ok   broker: serving", "  ok   token: fine", "  BAD  redis: forgets"]
        assert out.splitlines()[1:] == [*expected, "       Set it to noeviction."]

    def test_the_permissions_in_a_channel(self, proxy, run):
        denial = ComputePermissionsResponse.Denial(permission="SEND_MESSAGES", advice="Allow it.")
        proxy.script("GetChannel", ChannelResponse(channel=Channel(id=5, guild_id=6, name="news")))
        proxy.script("ComputePermissions", ComputePermissionsResponse(missing=[denial]))
        status, out, _ = run("doctor", "--channel", "5", "--target", proxy.address)
        assert status == 1
        assert out.splitlines()[-2:] == [
            "  BAD  channel 5: the bot lacks the permission SEND_MESSAGES",
            "       Allow it.",
        ]
        assert proxy.received[-1].request.guild_id == 6

    @pytest.mark.parametrize(
        ("names", "note"),
        [
            (
                ["MANAGE_MESSAGES"],
                ", but not pin them: that needs PIN_MESSAGES, which MANAGE_MESSAGES does not include",
            ),
            (["MANAGE_MESSAGES", "PIN_MESSAGES"], ""),
            ([], ""),
        ],
        ids=["manages", "pins", "neither"],
    )
    def test_pins_need_a_permission_of_their_own(self, proxy, run, names, note):
        proxy.script("GetChannel", ChannelResponse(channel=Channel(id=5, guild_id=6, name="news")))
        proxy.script("ComputePermissions", ComputePermissionsResponse(can_send=True, names=names))
        _, out, _ = run("doctor", "--channel", "5", "--target", proxy.address)
        assert out.splitlines()[-1] == f"  ok   channel 5: the bot can send messages to 'news'{note}"

    def test_nobody_there(self, run):
        status, out, _ = run("doctor", "--target", NOBODY)
        assert status == 1
        assert "discordproxyserver" in out


class TestUsage:
    def test_help_teaches(self, run):
        status, out, _ = run("--help")
        assert status == 0
        for word in ("exit status:", "examples:", "DISCORDPROXY_API_KEY", "doctor", "sandbox"):
            assert word in out

    @pytest.mark.parametrize("arguments", [[], ["message"], ["message", "channel", "x"], ["status", "--nonsense"]])
    def test_wrong_usage(self, run, arguments):
        assert run(*arguments)[0] == 2

    @pytest.mark.parametrize("timeout", ["nan", "-1", "-inf", "soon", ""])
    def test_a_time_that_is_none(self, run, timeout):
        status, _, err = run("status", f"--timeout={timeout}")
        assert (status, f"must be a number of seconds, not {timeout!r}" in err) == (2, True)

    @pytest.mark.parametrize("timeout", ["inf", "1e12", "0"])
    @pytest.mark.parametrize("command", [["status"], ["doctor"], ["message", "channel", "5", "x"]])
    def test_no_deadline(self, proxy, run, command, timeout):
        assert run(*command, "--timeout", timeout, "--target", proxy.address)[0] == 0

    def test_sandbox_without_the_server_packages(self, run, monkeypatch):
        monkeypatch.setattr(main, "find_spec", lambda name: None)
        status, _, err = run("sandbox")
        assert (status, err) == (2, "The sandbox needs more packages: pip install 'discordproxy[server]>=2'\n")

    def test_sandbox_takes_over_with_all_its_arguments(self, run, monkeypatch):
        started = []
        monkeypatch.setattr(main, "find_spec", lambda name: name)
        monkeypatch.setattr(os, "execv", lambda path, command: started.append(command))
        run("sandbox", "--port", "0", "-h")
        assert started[0][1:] == ["-m", "discordproxy_sandbox", "--port", "0", "-h"]


class TestCompletion:
    @pytest.mark.parametrize("shell", SHELLS)
    def test_knows_every_command_and_option(self, run, shell):
        status, out, _ = run("completion", shell)
        assert status == 0
        for word in ("message", "doctor", "sandbox", "embed-json", "reply-to", "fish"):
            assert word in out
        assert "%(" not in out

    @pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
    @pytest.mark.parametrize(
        ("words", "expected"), [(["do"], ["doctor"]), (["message", "--ti"], ["--timeout", "--title"])]
    )
    def test_bash_completes(self, words, expected):
        program = script("bash", main.build_parser())
        line = " ".join(["discordproxy", *words])
        code = f'{program}\nCOMP_WORDS=({line}); COMP_CWORD={len(words)}; _discordproxy; echo "${{COMPREPLY[@]}}"'
        found = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True).stdout.split()
        assert found == expected
