"""What a member may do: a case for each rule of Discord, and random cases against a second, slow implementation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discordproxy import discord_api_pb2 as pb
from discordproxy_api.cached.permission_advice import denials
from discordproxy_api.cached.permission_names import ALL, BITS, NAMES, names_of
from discordproxy_api.cached.permissions import Rule, compute
from strategies.examples import examples

GUILD, OWNER, USER, OTHER, PILOT, CAPTAIN = "10", "1", "2", "3", "20", "21"
TEXT, VOICE, CATEGORY, STAGE = 0, 2, 4, 13
CHATTING = (
    "VIEW_CHANNEL",
    "SEND_MESSAGES",
    "SEND_MESSAGES_IN_THREADS",
    "EMBED_LINKS",
    "CONNECT",
    "READ_MESSAGE_HISTORY",
)


def bits(*names):
    return sum(BITS[name] for name in names)


def guild(everyone=CHATTING, pilot=(), captain=()):
    granted = ((GUILD, everyone), (PILOT, pilot), (CAPTAIN, captain))
    return {
        "id": GUILD,
        "owner_id": OWNER,
        "roles": [{"id": each, "permissions": str(bits(*p))} for each, p in granted],
    }


def member(*roles, user=USER):
    return {"user": {"id": user}, "roles": list(roles)}


def overwrite(target, allow=(), deny=(), kind=0):
    return {"id": target, "type": kind, "allow": str(bits(*allow)), "deny": str(bits(*deny))}


def channel(*overwrites, kind=TEXT):
    return {"id": "30", "type": kind, "guild_id": GUILD, "permission_overwrites": list(overwrites)}


DENY = ("SEND_MESSAGES",)
LOCKED = {"type": 11, "thread_metadata": {"locked": True}}
OPEN = {"type": 11, "thread_metadata": {"locked": False}}

CASES = {
    "roles allow": (guild(), member(), channel(), {}, None, ()),
    "no role allows": (guild(everyone=("VIEW_CHANNEL",)), member(), channel(), {}, Rule.ROLES, ()),
    "one role is enough": (
        guild(everyone=("VIEW_CHANNEL",), pilot=("SEND_MESSAGES",)),
        member(PILOT),
        channel(),
        {},
        None,
        (),
    ),
    "owner": (guild(everyone=()), member(user=OWNER), channel(overwrite(OWNER, deny=DENY, kind=1)), {}, None, ()),
    "administrator": (
        guild(everyone=(), pilot=("ADMINISTRATOR",)),
        member(PILOT),
        channel(overwrite(GUILD, deny=DENY)),
        {"timed_out": True},
        None,
        (),
    ),
    "everyone denied": (
        guild(),
        member(),
        channel(overwrite(GUILD, deny=DENY)),
        {},
        Rule.EVERYONE_OVERWRITE,
        (10,),
    ),
    "a role's allow beats everyone's deny": (
        guild(),
        member(PILOT),
        channel(overwrite(GUILD, deny=DENY), overwrite(PILOT, allow=DENY)),
        {},
        None,
        (),
    ),
    "a role's overwrite needs the role": (
        guild(),
        member(),
        channel(overwrite(GUILD, deny=DENY), overwrite(PILOT, allow=DENY)),
        {},
        Rule.EVERYONE_OVERWRITE,
        (10,),
    ),
    "any role's allow beats all roles' deny": (
        guild(),
        member(PILOT, CAPTAIN),
        channel(overwrite(PILOT, allow=DENY), overwrite(CAPTAIN, deny=DENY)),
        {},
        None,
        (),
    ),
    "roles deny": (
        guild(),
        member(PILOT, CAPTAIN),
        channel(overwrite(PILOT, deny=DENY), overwrite(CAPTAIN, deny=DENY)),
        {},
        Rule.ROLE_OVERWRITE,
        (20, 21),
    ),
    "the member's deny beats a role's allow": (
        guild(),
        member(PILOT),
        channel(overwrite(PILOT, allow=DENY), overwrite(USER, deny=DENY, kind=1)),
        {},
        Rule.MEMBER_OVERWRITE,
        (2,),
    ),
    "the member's allow beats all": (
        guild(everyone=("VIEW_CHANNEL",)),
        member(PILOT),
        channel(overwrite(GUILD, deny=DENY), overwrite(PILOT, deny=DENY), overwrite(USER, allow=DENY, kind=1)),
        {},
        None,
        (),
    ),
    "somebody else's overwrite": (guild(), member(), channel(overwrite(OTHER, deny=DENY, kind=1)), {}, None, ()),
    "timed out": (guild(), member(), channel(), {"timed_out": True}, Rule.TIMED_OUT, ()),
    "unseen": (guild(), member(), channel(overwrite(GUILD, deny=("VIEW_CHANNEL",))), {}, Rule.NO_VIEW, ()),
    "not connected": (
        guild(),
        member(),
        channel(overwrite(GUILD, deny=("CONNECT",)), kind=VOICE),
        {},
        Rule.NO_CONNECT,
        (),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_rule_that_decides_about_sending(case):
    of_guild, who, where, circumstances, rule, ids = CASES[case]
    found = compute(of_guild, who, where, **circumstances)
    assert bool(found.bits & BITS["SEND_MESSAGES"]) is (rule is None)
    if rule is not None:
        assert found.decision(BITS["SEND_MESSAGES"]).rule is rule
        assert found.decision(BITS["SEND_MESSAGES"]).ids == ids
        denied = {each.permission: each for each in denials(found, where["type"])}
        assert denied["SEND_MESSAGES"].rule == rule
        assert denied["SEND_MESSAGES"].advice
    else:
        assert not list(denials(found, where["type"]))


def test_who_is_above_the_rules():
    assert compute(guild(), member(user=OWNER)).owner
    assert compute(guild(), member(user=OWNER)).bits == ALL
    assert compute(guild(pilot=("ADMINISTRATOR",)), member(PILOT)).administrator


def test_the_guild_as_a_whole():
    assert set(names_of(compute(guild(), member()).bits)) == set(CHATTING)


def test_timeout_leaves_looking_and_reading():
    found = compute(guild(), member(), channel(), timed_out=True)
    assert set(names_of(found.bits)) == {"VIEW_CHANNEL", "READ_MESSAGE_HISTORY"}


def test_without_view_there_is_nothing():
    assert compute(guild(), member(), channel(overwrite(GUILD, deny=("VIEW_CHANNEL",)))).bits == 0


def test_without_send_there_are_no_embeds():
    found = compute(guild(), member(), channel(overwrite(GUILD, deny=DENY)))
    assert "EMBED_LINKS" not in set(names_of(found.bits))
    assert found.decision(BITS["EMBED_LINKS"]).rule is Rule.NO_SEND


@pytest.mark.parametrize(
    ("thread", "denied", "missing", "rule"),
    [
        (OPEN, ("SEND_MESSAGES",), [], None),
        (OPEN, ("SEND_MESSAGES_IN_THREADS",), ["SEND_MESSAGES_IN_THREADS"], Rule.EVERYONE_OVERWRITE),
        (LOCKED, (), ["SEND_MESSAGES_IN_THREADS"], Rule.THREAD_LOCKED),
    ],
)
def test_threads(thread, denied, missing, rule):
    found = compute(guild(), member(), channel(overwrite(GUILD, deny=denied)), thread=thread)
    told = list(denials(found, thread["type"]))
    assert [each.permission for each in told] == missing
    assert [each.rule for each in told] == [rule] * len(missing)
    assert ("EMBED_LINKS" in set(names_of(found.bits))) is not bool(missing)


def test_a_locked_thread_is_open_to_its_managers():
    found = compute(guild(pilot=("MANAGE_THREADS",)), member(PILOT), channel(), thread=LOCKED)
    assert not list(denials(found, 11))


def test_nobody_writes_to_a_category():
    (told,) = denials(compute(guild(), member(), channel(kind=CATEGORY)), CATEGORY)
    assert (told.permission, told.rule) == ("", 0)


def test_rules_have_the_contracts_numbers():
    assert {rule.name: rule.value for rule in Rule} == {
        name.removeprefix("RULE_"): number for name, number in pb.PermissionRule.items() if number
    }


def test_bits_are_discords():
    assert (BITS["SEND_MESSAGES"], BITS["MODERATE_MEMBERS"], BITS["USE_EXTERNAL_APPS"]) == (1 << 11, 1 << 40, 1 << 50)
    assert len(NAMES) == len(BITS)


SETS = st.lists(
    st.sampled_from([*CHATTING, "ATTACH_FILES", "MANAGE_THREADS", "KICK_MEMBERS"]), unique=True, max_size=5
).map(lambda names: bits(*names))
ROLES = ["20", "21", "22", "23"]


@st.composite
def cases(draw):
    roles = [{"id": each, "permissions": str(draw(SETS))} for each in (GUILD, *ROLES)]
    if draw(st.integers(0, 9)) == 0:
        roles[-1]["permissions"] = str(BITS["ADMINISTRATOR"])
    targets = draw(st.lists(st.sampled_from([(GUILD, 0), *((each, 0) for each in ROLES), (USER, 1), (OTHER, 1)])))
    numbered = dict.fromkeys(targets)
    overwrites = [
        {"id": target, "type": kind, "allow": str(draw(SETS)), "deny": str(draw(SETS))} for target, kind in numbered
    ]
    who = member(*draw(st.lists(st.sampled_from(ROLES), unique=True)), user=draw(st.sampled_from([USER, USER, OWNER])))
    where = {**channel(kind=draw(st.sampled_from([TEXT, VOICE, STAGE]))), "permission_overwrites": overwrites}
    thread = draw(st.sampled_from([None, OPEN, LOCKED])) if where["type"] == TEXT else None
    return {"id": GUILD, "owner_id": OWNER, "roles": roles}, who, where, thread, draw(st.booleans())


class Slow:
    """The rules once more, one permission at a time, as a person would go through them."""

    def __init__(self, of_guild, who, where, thread, timed_out):
        self.guild, self.who, self.where, self.thread, self.timed_out = of_guild, who, where, thread, timed_out
        self.held = [role for role in of_guild["roles"] if role["id"] == GUILD or role["id"] in who["roles"]]

    def may(self, name):
        if self.who["user"]["id"] == self.guild["owner_id"] or self.by_roles("ADMINISTRATOR"):
            return True
        if self.timed_out and name not in {"VIEW_CHANNEL", "READ_MESSAGE_HISTORY"}:
            return False
        return self.granted(name) and not self.forbidden(name)

    def by_roles(self, name):
        return any(int(role["permissions"]) & BITS[name] for role in self.held)

    def granted(self, name):
        for which in (self.own, self.of_roles, self.of_everyone):
            verdict = self.verdict(list(which()), BITS[name])
            if verdict is not None:
                return verdict
        return self.by_roles(name)

    def forbidden(self, name):
        if name != "VIEW_CHANNEL" and not self.granted("VIEW_CHANNEL"):
            return True
        locked = self.thread is not None and self.thread["thread_metadata"]["locked"]
        closed = locked and not self.granted("MANAGE_THREADS")
        if name == "SEND_MESSAGES_IN_THREADS" and closed:
            return True
        if self.where["type"] in {VOICE, STAGE} and not self.granted("CONNECT") and name != "VIEW_CHANNEL":
            return True
        if name in {"EMBED_LINKS", "ATTACH_FILES", "MENTION_EVERYONE", "SEND_TTS_MESSAGES"}:
            if self.thread is not None:
                return closed or not self.granted("SEND_MESSAGES_IN_THREADS")
            return not self.granted("SEND_MESSAGES")
        return False

    @staticmethod
    def verdict(overwrites, bit):
        if any(int(each["allow"]) & bit for each in overwrites):
            return True
        return False if any(int(each["deny"]) & bit for each in overwrites) else None

    def own(self):
        user_id = self.who["user"]["id"]
        return (each for each in self.where["permission_overwrites"] if (each["id"], each["type"]) == (user_id, 1))

    def of_roles(self):
        return (each for each in self.where["permission_overwrites"] if each["id"] in self.who["roles"])

    def of_everyone(self):
        return (each for each in self.where["permission_overwrites"] if each["id"] == GUILD)


@examples(300)
@given(cases())
def test_random_cases_agree_with_the_slow_implementation(case):
    of_guild, who, where, thread, timed_out = case
    found = compute(of_guild, who, where, thread=thread, timed_out=timed_out)
    slow = Slow(*case)
    assert set(names_of(found.bits)) == {name for name in BITS if slow.may(name)}
    allowed = [bit for bit in BITS.values() if found.bits & bit]
    assert all(found.decision(bit).rule < Rule.TIMED_OUT for bit in allowed)
