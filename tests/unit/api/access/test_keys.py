"""Keys: how they are made, kept and recognized; what is wrong with a file; who is locked out; what is exposed."""

import os
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from discordproxy_api.access.__main__ import main
from discordproxy_api.access.authenticator import Authenticator, Credentials, key_in
from discordproxy_api.access.key_file import read_key_file
from discordproxy_api.access.keys import FORM, KeyFileError, digest_of, new_key, read_keys, token_shaped
from discordproxy_api.access.lockout import Lockout, address_of
from discordproxy_api.bind_policy import UnsafeBindError, bind_warning, require_safe_bind
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.contract.contract import load_contract
from discordproxy_api.rest_edge.credentials import key_of

KEY = new_key()
RPCS = tuple(load_contract())


def entry(key: str = KEY, app: str = "srp", **settings: str) -> str:
    lines = [
        f'app = "{app}"',
        f'sha256 = "{digest_of(key)}"',
        *(f"{name} = {value}" for name, value in settings.items()),
    ]
    return "\n".join(["[[keys]]", *lines, ""])


class Fixed:
    def __init__(self, ring) -> None:
        self.ring = ring

    def get(self):
        return self.ring


def test_keys_are_long_recognizable_and_never_alike():
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(FORM.fullmatch(key) for key in keys)


def test_a_key_is_recognized_by_its_hash():
    ring = read_keys(entry() + entry(new_key(), "other"))
    assert ring.holder_of(KEY).app == "srp"
    assert ring.holder_of(KEY).key == digest_of(KEY)[:8]
    assert ring.holder_of(KEY + "x") is None
    assert ring.holder_of("") is None
    assert KEY not in repr(ring)


def test_everything_a_key_can_say():
    text = entry(
        rpcs='["read", "Send*"]',
        requests='["GET /guilds/{guild_id}/audit-logs"]',
        guilds="[1, 2]",
        channels="[3]",
        direct_messages="true",
        events='["MESSAGE_CREATE"]',
        priority='"normal"',
        share="2.5",
        calls_per_s="10",
        status="true",
        expires="2030-01-02",
    )
    found = read_keys(text, rpcs=RPCS).holder_of(KEY)
    assert found.scopes.guilds == {1, 2}
    assert found.scopes.events == {"MESSAGE_CREATE"}
    assert (found.share, found.calls_per_s, found.status) == (2.5, 10.0, True)
    assert found.expires_at == datetime(2030, 1, 2, tzinfo=UTC)


def test_only_a_key_without_limits_sees_the_status_by_itself():
    assert read_keys(entry()).holder_of(KEY).status
    assert not read_keys(entry(channels="[3]")).holder_of(KEY).status


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("keys = 1", "keys: "),
        ("[[keys]", "not valid TOML"),
        ("keys = " + "1" * 5_000, "not valid TOML"),
        ("keys = " + "[" * 100_000, "not valid TOML"),
        ('[[keys]]\napp = "srp"\n', "key 1: either sha256"),
        (entry(sha256='"x"'), "not valid TOML"),
        ('[[keys]]\napp = "srp"\nsha256 = "dpk_secret"\n', "key 1 sha256"),
        (entry(app="two words"), "key 1 app"),
        (entry(share="0"), "key 1 share"),
        (entry(guild="[1]"), "unknown setting"),
        (entry(guilds="[]"), "an empty list would allow everything"),
        (entry(rpcs='["SendMesage"]'), "'SendMesage' matches no RPC"),
        (entry(requests='["audit-logs"]'), "key 1 requests"),
        (entry(events='["MESSAGE_CREAT"]'), "did you mean MESSAGE_CREATE?"),
        (entry(bot='"second"'), "DISCORDPROXY_BOTS"),
        (entry() + entry(), "same key"),
    ],
)
def test_what_is_wrong_with_a_file(text: str, problem: str):
    with pytest.raises(KeyFileError) as wrong:
        read_keys(text, rpcs=RPCS)
    assert problem in str(wrong.value)
    assert "dpk_" not in str(wrong.value)
    assert "\n" not in str(wrong.value)


def test_authorization_headers():
    assert key_in(f"Bearer {KEY}") == key_in(f"bearer  {KEY} ") == KEY
    assert key_in("Basic OmRwa19rZXk=") == "dpk_key"
    assert key_in("Basic ???") == "???"  # counts as a wrong key, not as none
    assert key_in("") == key_in("Digest x") == ""


def authenticator(text: str = "", **options) -> Authenticator:
    return Authenticator(Fixed(read_keys(text or entry())), Metrics(), **options)


def refusal(authenticator: Authenticator, shown: Credentials) -> ApiError:
    with pytest.raises(ApiError) as refused:
        authenticator.admit(shown)
    assert refused.value.status == "UNAUTHENTICATED"
    return refused.value


def test_without_a_file_nobody_needs_a_key():
    anyone = Authenticator(None, Metrics())
    assert anyone.admit(Credentials(app="srp")).app == "srp"
    assert anyone.admit(Credentials(app="srp", certificate=("freight.example",))).app == "freight.example"
    assert anyone.admit(Credentials(app="no name\n")).app == "default"


def test_the_key_names_the_application():
    assert authenticator().admit(Credentials(f"Bearer {KEY}", app="somebody-else")).app == "srp"
    assert "requires a key" in refusal(authenticator(), Credentials(app="srp")).text
    assert KEY[:-1] not in refusal(authenticator(), Credentials(f"Bearer {KEY[:-1]}")).text


def test_a_certificate_can_stand_for_a_key():
    text = '[[keys]]\napp = "srp"\ncertificate = "srp.example"\n'
    assert authenticator(text).admit(Credentials(certificate=("srp.example",))).app == "srp"
    refusal(authenticator(text), Credentials(certificate=("other.example",)))
    refusal(
        authenticator(text), Credentials(f"Bearer {KEY}", certificate=("srp.example",))
    )  # a wrong key is no better than none


def test_a_key_expires():
    clock = [datetime(2029, 12, 31, 23, 59, tzinfo=UTC)]
    expiring = authenticator(entry(expires="2030-01-01"), wall_clock=lambda: clock[0])
    assert expiring.admit(Credentials(f"Bearer {KEY}")).app == "srp"
    clock[0] = datetime(2030, 1, 1, tzinfo=UTC)
    assert "expired" in refusal(expiring, Credentials(f"Bearer {KEY}")).text


def test_guessers_are_locked_out_and_good_keys_behind_the_same_address_are_not(caplog: pytest.LogCaptureFixture):
    now = [0.0]
    guarded = authenticator(lockout=Lockout(wrong_keys=3, within_s=60, locked_for_s=300), clock=lambda: now[0])
    guess = Credentials("Bearer wrong", peer="ipv4:192.0.2.1:5000")
    assert [refusal(guarded, guess).reason for _ in range(4)] == ["UNAUTHENTICATED"] * 2 + ["LOCKED_OUT"] * 2
    assert refusal(guarded, guess).retry_after_s == 300
    assert caplog.text.count("192.0.2.1") == 1
    assert guarded.admit(Credentials(f"Bearer {KEY}", peer="ipv4:192.0.2.1:5001")).app == "srp"
    assert refusal(guarded, Credentials("Bearer wrong", peer="ipv4:192.0.2.2:1")).reason == "UNAUTHENTICATED"
    now[0] = 301.0
    assert refusal(guarded, guess).reason == "UNAUTHENTICATED"


def test_slow_mistakes_lock_nobody_out_and_memory_is_bounded():
    lockout = Lockout(wrong_keys=2, within_s=10, max_addresses=5)
    assert not any(lockout.add_wrong_key("a", now) for now in (0.0, 11.0, 22.0))
    for number in range(100):
        lockout.add_wrong_key(str(number), 30.0)
    assert len(lockout._records) == 5


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.1:5000", "192.0.2.1"),
        ("ipv6:[2001:db8:1:2:3::4]:5000", "2001:db8:1:2::/64"),
        ("ipv6:%5B2001:db8:1:2:3::4%5D:5000", "2001:db8:1:2::/64"),
        ("ipv6:[::ffff:192.0.2.1]:5000", "192.0.2.1"),
        ("unix:/run/x.sock", "unix"),
        ("", "unknown"),
        ("ipv4:odd:1", "odd"),
    ],
)
def test_addresses_of_peers(peer: str, address: str):
    assert address_of(peer) == address


def test_the_http_port_takes_the_same_keys():
    ops = authenticator(entry() + entry(limited := new_key(), "limited", channels="[1]"))
    assert ops.allowed({"Authorization": f"Bearer {KEY}"}, "192.0.2.1").app == "srp"
    assert ops.allowed({"authorization": f"Bearer {limited}"}, "192.0.2.1") is None
    assert ops.allowed({}, "::1") is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "proxy.example"])
def test_nothing_is_offered_to_a_network_by_accident(host: str):
    with pytest.raises(UnsafeBindError, match="DISCORDPROXY_KEYS_FILE"):
        require_safe_bind(host, authenticated=False, allow_anonymous=False)
    require_safe_bind(host, authenticated=True, allow_anonymous=False)
    require_safe_bind(host, authenticated=False, allow_anonymous=True)
    assert "unencrypted" in bind_warning(host, keys=True, encrypted=False)
    assert not bind_warning(host, keys=True, encrypted=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_this_machine_is_trusted(host: str):
    require_safe_bind(host, authenticated=False, allow_anonymous=False)
    assert not bind_warning(host, keys=True, encrypted=False)


def test_a_key_file_with_a_byte_order_mark(tmp_path):
    key, path = new_key(), tmp_path / "keys.toml"
    path.write_text(f'[[keys]]\r\napp = "srp"\r\nsha256 = "{digest_of(key)}"\r\n', "utf-8-sig")
    path.chmod(0o600)
    assert read_key_file(path, rpcs=()).holder_of(key).app == "srp"


def test_no_key_gets_into_a_file_that_nobody_has_read(tmp_path):
    command = f"{sys.executable} -m discordproxy_api.access new --app srp --file {tmp_path}/keys.toml"
    for output, why in (("> /dev/full", "No space left on device"), (">&-", "it is closed")):
        done = subprocess.run(["bash", "-c", f"{command} {output}"], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (1, f"ERROR: the output cannot be written ({why})\n")
    assert not (tmp_path / "keys.toml").exists()


def test_a_new_key_is_written_to_a_private_file_and_through_no_link(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, link = tmp_path / "keys.toml", tmp_path / "link.toml"
    link.symlink_to(file)
    with pytest.raises(SystemExit):
        main(["new", "--app", "srp", "--file", str(link)])
    assert "symbolic link" in capsys.readouterr().err
    assert not file.exists()
    before = os.umask(0)
    try:
        main(["new", "--app", "srp", "--file", str(file)])
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [principal.app for principal in read_keys(file.read_text()).principals] == ["srp"]


def test_a_token_shaped_key_is_the_same_key():
    key = new_key()
    shaped = token_shaped(key, 100000000000000001)
    assert shaped == f"MTAwMDAwMDAwMDAwMDAwMDAx.proxy.{key}"
    assert key_of(shaped) == key
