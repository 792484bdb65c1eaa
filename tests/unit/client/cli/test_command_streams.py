"""Commands as a shell starts them: bytes that are not UTF-8, closed or full streams, readers that have left."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from discordproxy.discord_api_pb2 import Message, SendChannelMessageResponse, User, UserResponse
from fakes.scripted_proxy import scripted_proxy

BIN = Path(sys.executable).parent


@pytest.fixture
def proxy():
    with scripted_proxy() as server:
        server.script("SendChannelMessage", *[SendChannelMessageResponse(message=Message(id=7, channel_id=5))] * 3)
        yield server


@pytest.fixture
def shell(proxy):
    """Return a function that runs a line of a shell; $P is where the proxy is."""

    def run(line):
        host, _, port = proxy.address.rpartition(":")
        environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}
        environment |= {"DISCORDPROXY_TARGET": proxy.address, "P": f"--host {host} --port {port}"}
        done = subprocess.run(["bash", "-c", line], capture_output=True, env=environment, check=False, timeout=100)
        assert b"Traceback" not in done.stderr
        assert b"Exception ignored" not in done.stderr
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    return run


@pytest.mark.parametrize(
    ("line", "content"),
    [
        (r"printf 'caf\xe9\n' | discordproxy message channel 1", "caf\ufffd"),
        (r"printf '\xef\xbb\xbfcaf\xc3\xa9\r\n' | discordproxy message channel 1 -", "café\r"),
        (r"discordproxy message channel 1 $'caf\xe9'", "caf\ufffd"),
        (r"discordproxymessage $P channel 1 $'caf\xe9'", "caf\ufffd"),
    ],
)
def test_bytes_that_are_no_utf_8_are_replaced_and_it_is_said(shell, proxy, line, content):
    status, out, err = shell(line)
    assert (status, "sent" in out) == (0, True)
    assert proxy.received[0].request.content == content
    assert ("not UTF-8" in err) is ("\ufffd" in content)


def test_in_embeds_and_names_of_files_too(shell, proxy, tmp_path):
    (tmp_path / "embed.json").write_bytes(b'{"title": "caf\xe9"}')
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt"))).write_bytes(b"x")
    options = rf"--embed-json @{tmp_path}/embed.json --description $'\xe9' --file {tmp_path}/$'caf\xe9.txt'"
    status, _, err = shell(f"discordproxy message channel 1 {options}")
    request = proxy.received[0].request
    assert (status, request.files[0].filename) == (0, "caf\ufffd.txt")
    assert [embed.title or embed.description for embed in request.embeds] == ["caf\ufffd", "\ufffd"]
    assert err.count("not UTF-8") == 2


OLD, NEW = "discordproxymessage $P channel 1 x", "discordproxy message channel 1 x"


@pytest.mark.parametrize(
    ("command", "output"),
    [
        *((NEW, output) for output in ("> /dev/full", ">&-", "| true", "> /dev/full 2>&1", ">&- 2>&-")),
        *((OLD, output) for output in ("> /dev/full", "| true")),
    ],
)
def test_what_was_sent_is_a_success_even_if_nobody_can_read_it(shell, proxy, command, output):
    line = f"{command} {output}" if "|" not in output else f"set -o pipefail; {command} {output}"
    status, _, err = shell(line)
    assert (status, len(proxy.received)) == (0, 1)
    assert ("Done, but the output cannot be written" in err) is (output in {"> /dev/full", ">&-"})


@pytest.mark.parametrize(
    ("command", "output"), [("status", ">&-"), ("doctor --json", "> /dev/full"), ("completion bash", "> /dev/full")]
)
def test_output_that_is_the_only_purpose(shell, command, output):
    status, _, err = shell(f"discordproxy {command} {output}")
    assert status == 1
    assert "The output cannot be written: " in err


def test_a_reader_that_has_left_is_no_failure(shell):
    assert shell("set -o pipefail; discordproxy completion fish | true")[0::2] == (0, "")


def test_closed_input(shell, proxy):
    status, _, err = shell("discordproxy message channel 1 <&-")
    assert (status, err) == (2, "discordproxy message: no text: standard input is closed\n")
    assert shell("discordproxy message channel 1 x <&-")[0] == 0
    assert len(proxy.received) == 1


def test_the_old_command_refuses_an_empty_text_in_one_line(shell):
    status, out, _ = shell("discordproxymessage $P channel 1 ''")
    assert (status, out) == (1, "ERROR: Either content or embed need to be specified.\n")


def test_an_output_that_knows_few_characters(shell, proxy):
    proxy.script("GetCurrentUser", UserResponse(user=User(id=9, username="Élan")))
    status, out, _ = shell("PYTHONIOENCODING=ascii discordproxy status")
    assert (status, r"bot: \xc9lan (9)" in out) == (0, True)


def test_an_answer_of_another_form_is_no_wrong_usage(shell):
    with scripted_proxy(console={"Status": {"version": "9"}, "Doctor": []}) as later:
        status, _, err = shell(f"discordproxy status --target {later.address}")
    assert (status, "is not in the format of" in err) == (1, True)


ENDLESS_TEXT = "has more than 2000 characters, the limit of a message; --overflow split, truncate or file"


@pytest.mark.parametrize(
    ("line", "limit"),
    [
        ("yes | discordproxy message channel 1", ENDLESS_TEXT),
        ("yes | discordproxy message channel 1 -", ENDLESS_TEXT),
        ("yes '' | discordproxy message channel 1", ENDLESS_TEXT),
        ("yes | discordproxy message channel 1 --overflow split", "standard input has more than 32 MiB"),
        ("yes | discordproxy commands sync - --app a", "standard input has more than 32 MiB"),
        ("discordproxy commands sync /dev/zero --app a", "/dev/zero has more than 32 MiB"),
        ("discordproxy message channel 1 --embed-json @/dev/zero", "/dev/zero has more than 32 MiB"),
        ("discordproxy message channel 1 --embed-json @<(yes)", "has more than 32 MiB"),
        ("discordproxy message channel 1 --file /dev/zero", "zero has more than 100 MiB"),
        ("truncate -s 101M large; discordproxy message channel 1 --file large", "large has more than 100 MiB"),
        ("DISCORDPROXY_CA=/dev/zero discordproxy message channel 1 x", "contains no certificate"),
    ],
    ids=lambda value: value.partition(";")[0][:60],
)
def test_input_without_an_end_is_refused_with_the_limit(shell, proxy, tmp_path, line, limit):
    status, _, err = shell(f"cd {tmp_path}; ulimit -v {1536 * 1024}; {line}")
    assert (status, len(err.splitlines()), limit in err) == (2, 1, True), err
    assert proxy.received == []


@pytest.mark.parametrize("length", [2000, 5000])
def test_a_text_from_a_pipe_that_the_proxy_judges_is_sent_whole(shell, proxy, length):
    status, _, _ = shell(f"printf '€%.0s' $(seq {length}) | discordproxy message channel 1 -")
    assert (status, proxy.received[0].request.content) == (0, "€" * length)
