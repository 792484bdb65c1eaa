import json
from dataclasses import replace

import pytest

from discordproxy import discord_api_pb2 as pb
from discordproxy_api.contract.contract import load_contract
from discordproxy_api.contract.overflow import ELLIPSIS, units
from discordproxy_api.contract.steps import (
    BULK_AGE_MS,
    DISCORD_EPOCH_MS,
    PREPARE,
    WAITING_MS,
    Circumstances,
    follow_ups,
    nonce_of,
    prepare,
)
from discordproxy_api.contract.translate import Translator
from discordproxy_api.rpcs.route_policy import CALLBACK

CONTRACT = load_contract()
NOW_MS = 1_780_000_000_000


def plan(name, /, *, users_only=False, seed="seed", **fields):
    request = CONTRACT[name].request_type(**fields)
    outgoing = Translator(CONTRACT[name]).outgoing(request)
    return prepare(name, request, outgoing, Circumstances(seed=seed, now_ms=NOW_MS, users_only=users_only))


def body(name, /, **fields):
    (part,) = plan(name, **fields)
    return part.body


def sent(**fields):
    made = body("SendChannelMessage", channel_id=1, **fields)
    del made["nonce"], made["enforce_nonce"]
    return made


def snowflake(created_ms):
    return int(created_ms - DISCORD_EPOCH_MS) << 22


def test_steps_exist_for_rpcs_of_the_contract():
    assert set(PREPARE) <= set(CONTRACT)


def test_other_rpcs_go_out_as_they_were_translated():
    (part,) = plan("GetChannel", channel_id=5)
    assert (part.method, part.path, part.body) == ("GET", "/channels/5", None)


class TestNonce:
    def test_every_message_has_one_that_discord_enforces(self):
        made = body("SendChannelMessage", channel_id=1, content="x")
        assert (made["nonce"], made["enforce_nonce"]) == (nonce_of("seed", 0), True)

    def test_it_is_as_long_as_discord_takes_and_depends_on_seed_and_part(self):
        nonces = {nonce_of(seed, part) for seed in ("a", "b", "0:a") for part in range(3)}
        assert len(nonces) == 9
        assert {len(nonce) for nonce in nonces} == {25}

    def test_the_callers_own_wins_and_seeds_the_later_parts(self):
        parts = plan(
            "SendChannelMessage", channel_id=1, content="word " * 900, nonce="mine", overflow=pb.OVERFLOW_SPLIT
        )
        assert [part.body["nonce"] for part in parts] == [nonce_of("seed", 0), nonce_of("seed", 1), nonce_of("seed", 2)]
        assert [part.own_nonce for part in parts] == ["mine", "", ""]

    def test_edits_webhooks_and_posts_have_none(self):
        assert "nonce" not in body("EditMessage", channel_id=1, message_id=2, content="x")
        assert "nonce" not in body("ExecuteWebhook", webhook_id=1, webhook_token="t", content="x")
        assert "nonce" not in body("CreateForumPost", channel_id=1, name="n", content="x")["message"]


class TestEmbedsAndComponents:
    def test_the_single_embed_comes_first(self):
        made = sent(embed=pb.Embed(title="1"), embeds=[pb.Embed(title="2")])
        assert made == {"embeds": [{"title": "1"}, {"title": "2"}]}
        assert sent(embed=pb.Embed(title="1")) == {"embeds": [{"title": "1"}]}

    def test_components_given_as_json_are_sent_as_they_are(self):
        components = [{"type": 1, "components": [{"type": 2, "brand_new": {"a": [1, None]}}]}]
        assert sent(components_json=json.dumps(components)) == {"components": components}


class TestMentions:
    def test_discords_default_unless_the_operator_says_otherwise(self):
        assert "allowed_mentions" not in sent(content="x")
        made = body("SendChannelMessage", channel_id=1, content="x", users_only=True)
        assert made["allowed_mentions"] == {"parse": ["users"], "replied_user": True}

    def test_the_request_wins(self):
        made = body("SendChannelMessage", channel_id=1, allowed_mentions=pb.AllowedMentions(roles=[5]), users_only=True)
        assert made["allowed_mentions"] == {"parse": [], "roles": ["5"]}

    def test_the_operators_default_holds_for_edits_too(self):
        made = body("EditMessage", channel_id=1, message_id=2, content="@everyone", users_only=True)
        assert made["allowed_mentions"]["parse"] == ["users"]


class TestFiles:
    def test_each_is_described(self):
        file = pb.File(filename="v.ogg", content=b"x", description="alt", duration_secs=1.5, waveform="AA==")
        assert sent(files=[file, pb.File(filename="b")])["attachments"] == [
            {"id": "0", "filename": "v.ogg", "description": "alt", "duration_secs": 1.5, "waveform": "AA=="},
            {"id": "1", "filename": "b"},
        ]

    def test_a_spoiler_keeps_its_name(self):
        image = pb.Embed.Image(url="attachment://a.png")
        (part,) = plan(
            "SendChannelMessage",
            channel_id=1,
            files=[pb.File(filename="a.png", spoiler=True), pb.File(filename="SPOILER_b", spoiler=True)],
            embeds=[pb.Embed(title="attachment", image=image)],
            components=[pb.Component(type=13, file=pb.Component.Media(url="attachment://a.png"))],
        )
        assert [file.filename for file in part.files] == ["a.png", "SPOILER_b"]
        assert part.body["attachments"] == [
            {"id": "0", "filename": "a.png", "is_spoiler": True},
            {"id": "1", "filename": "SPOILER_b", "is_spoiler": True},
        ]
        assert part.body["embeds"] == [{"title": "attachment", "image": {"url": "attachment://a.png"}}]
        assert part.body["components"][0]["file"] == {"url": "attachment://a.png"}

    def test_title_and_remix(self):
        file = pb.File(filename="a.png", title="A picture", is_remix=True)
        (described,) = sent(files=[file])["attachments"]
        assert described == {"id": "0", "filename": "a.png", "title": "A picture", "is_remix": True}

    def test_a_kept_attachment_changes_only_what_is_set(self):
        kept = [pb.KeepAttachment(id=5), pb.KeepAttachment(id=6, description="alt", is_spoiler=False, title="")]
        made = body("EditMessage", channel_id=1, message_id=2, attachments=kept)
        assert made["attachments"] == [
            {"id": "5"},
            {"id": "6", "description": "alt", "is_spoiler": False, "title": ""},
        ]

    @pytest.mark.parametrize(
        ("name", "address", "stored"),
        [
            ("image two.png", "image two.png", "image_two.png"),
            ("image two.png", "image_two.png", "image_two.png"),
            ("_bug1.png", "_bug1.png", "bug1.png"),
            ("hello (world).png", "hello (world).png", "hello_world.png"),
            ("a.png", "b.png", "b.png"),
        ],
    )
    def test_what_refers_to_a_file_names_it_as_discord_stores_it(self, name, address, stored):
        url = f"attachment://{address}"
        (part,) = plan(
            "EditMessage",
            channel_id=1,
            message_id=2,
            files=[pb.File(filename=name)],
            embeds=[pb.Embed(image=pb.Embed.Image(url=url))],
            components=[pb.Component(type=13, file=pb.Component.Media(url=url))],
        )
        assert part.files[0].filename == name
        assert part.body["embeds"][0]["image"]["url"] == f"attachment://{stored}"
        assert part.body["components"][0]["file"]["url"] == f"attachment://{stored}"

    def test_a_file_whose_name_discord_would_lose_gets_one_where_something_shows_it(self):
        name = "\u753b\u50cf.png"
        image = pb.Embed.Image(url=f"attachment://{name}")
        files = [pb.File(filename=name, spoiler=True), pb.File(filename="\u97f3.ogg")]
        (part,) = plan("SendChannelMessage", channel_id=1, files=files, embeds=[pb.Embed(image=image)])
        assert [file.filename for file in part.files] == ["file0.png", "\u97f3.ogg"]
        assert part.body["attachments"] == [
            {"id": "0", "filename": "file0.png", "title": "\u753b\u50cf", "is_spoiler": True},
            {"id": "1", "filename": "\u97f3.ogg"},
        ]
        assert part.body["embeds"][0]["image"]["url"] == "attachment://file0.png"

    def test_a_title_of_the_caller_comes_before_the_lost_name(self):
        name = "\u753b\u50cf.png"
        embed = pb.Embed(image=pb.Embed.Image(url=f"attachment://{name}"))
        (described,) = sent(files=[pb.File(filename=name, title="Mine")], embeds=[embed])["attachments"]
        assert described["title"] == "Mine"

    def test_an_edit_lists_what_stays_before_what_is_new(self):
        made = body(
            "EditMessage",
            channel_id=1,
            message_id=2,
            attachments=[pb.KeepAttachment(id=7, description="kept")],
            files=[pb.File(filename="new")],
        )
        assert made == {"attachments": [{"id": "7", "description": "kept"}, {"id": "0", "filename": "new"}]}

    def test_an_edit_without_files_leaves_the_attachments_alone(self):
        assert body("EditMessage", channel_id=1, message_id=2, content="x") == {"content": "x"}

    def test_an_edit_can_drop_all_attachments(self):
        assert body("EditMessage", channel_id=1, message_id=2, clear=["attachments"]) == {"attachments": []}
        made = body("EditMessage", channel_id=1, message_id=2, clear=["attachments"], files=[pb.File(filename="new")])
        assert made == {"attachments": [{"id": "0", "filename": "new"}]}


class TestOverflow:
    LONG = "word " * 900

    def test_split_keeps_order_reply_first_and_the_rest_last(self):
        parts = plan(
            "SendChannelMessage",
            channel_id=1,
            content=self.LONG,
            overflow=pb.OVERFLOW_SPLIT,
            message_reference=pb.Message.Reference(message_id=5),
            embeds=[pb.Embed(title="t")],
            components=[pb.Component(type=1)],
            files=[pb.File(filename="a")],
            allowed_mentions=pb.AllowedMentions(),
            flags=4096,
        )
        bodies = [part.body for part in parts]
        assert len(parts) == 3
        assert ["message_reference" in each for each in bodies] == [True, False, False]
        for key in ("embeds", "components", "attachments"):
            assert [key in each for each in bodies] == [False, False, True]
        assert [len(part.files) for part in parts] == [0, 0, 1]
        assert all(each["allowed_mentions"] == {"parse": []} and each["flags"] == 4096 for each in bodies)
        assert " ".join(each["content"] for each in bodies).split() == self.LONG.split()
        assert len({each["nonce"] for each in bodies}) == 3

    def test_truncate(self):
        content = sent(content=self.LONG, overflow=pb.OVERFLOW_TRUNCATE)["content"]
        assert units(content) <= 2000
        assert content.endswith(ELLIPSIS)

    def test_file(self):
        (part,) = plan(
            "SendChannelMessage",
            channel_id=1,
            content=self.LONG,
            overflow=pb.OVERFLOW_FILE,
            files=[pb.File(filename="a")],
        )
        assert "content" not in part.body
        assert part.body["attachments"][1] == {"id": "1", "filename": "message.txt"}
        assert (part.files[1].field, part.files[1].content) == ("files[1]", self.LONG.encode())
        assert part.files[1].content_type == "text/plain; charset=utf-8"

    @pytest.mark.parametrize("overflow", [pb.OVERFLOW_ERROR, pb.OVERFLOW_SPLIT, pb.OVERFLOW_TRUNCATE, pb.OVERFLOW_FILE])
    def test_content_that_fits_is_left_alone(self, overflow):
        assert sent(content="x" * 2000, overflow=overflow) == {"content": "x" * 2000}

    def test_nothing_but_white_space_leaves_the_rest_of_the_message(self):
        made = sent(content=" " * 3000, embeds=[pb.Embed(title="t")], overflow=pb.OVERFLOW_SPLIT)
        assert made == {"embeds": [{"title": "t"}]}

    def test_webhooks_split_too(self):
        parts = plan("ExecuteWebhook", webhook_id=1, webhook_token="t", content=self.LONG, overflow=pb.OVERFLOW_SPLIT)
        assert [part.query for part in parts] == [[("wait", "true")]] * 3


class TestWebhooks:
    def test_discord_waits_unless_the_request_says_otherwise(self):
        (part,) = plan("ExecuteWebhook", webhook_id=1, webhook_token="t", content="x")
        assert part.query == [("wait", "true")]
        (part,) = plan("ExecuteWebhook", webhook_id=1, webhook_token="t", content="x", wait=False)
        assert part.query == [("wait", "false")]

    def test_components_are_announced(self):
        fields = {"webhook_id": 1, "webhook_token": "t", "components_json": '[{"type": 1}]'}
        (part,) = plan("ExecuteWebhook", **fields)
        assert ("with_components", "true") in part.query
        (part,) = plan("EditWebhookMessage", message_id=3, **fields)
        assert part.query == [("with_components", "true")]
        (part,) = plan("EditWebhookMessage", message_id=3, with_components=False, **fields)
        assert part.query == [("with_components", "false")]


def test_a_forum_post_holds_its_message_in_an_object():
    made = body(
        "CreateForumPost",
        channel_id=1,
        name="post",
        content="x",
        embeds=[pb.Embed(title="t")],
        files=[pb.File(filename="a")],
        components_json='[{"type": 1}]',
        applied_tags=[5],
        rate_limit_per_user=0,
        reason="r",
    )
    assert made == {
        "name": "post",
        "applied_tags": ["5"],
        "rate_limit_per_user": 0,
        "message": {
            "content": "x",
            "embeds": [{"title": "t"}],
            "components": [{"type": 1}],
            "attachments": [{"id": "0", "filename": "a"}],
        },
    }


class TestBulkDelete:
    YOUNG = snowflake(NOW_MS - 1000)
    OLD = snowflake(NOW_MS - BULK_AGE_MS - 1000)

    def delete(self, *ids):
        return plan("BulkDeleteMessages", channel_id=1, message_ids=ids, reason="tidy")

    def shapes(self, *ids):
        return [(part.method, len(part.body["messages"]) if part.body else part.path) for part in self.delete(*ids)]

    def test_chunks_of_a_hundred(self):
        assert self.shapes(*(self.YOUNG + each for each in range(250))) == [("POST", 100), ("POST", 100), ("POST", 50)]

    def test_a_single_message_is_deleted_alone(self):
        alone = ("DELETE", f"/channels/1/messages/{self.YOUNG + 100}")
        assert self.shapes(*(self.YOUNG + each for each in range(101))) == [("POST", 100), alone]
        assert self.shapes(self.YOUNG) == [("DELETE", f"/channels/1/messages/{self.YOUNG}")]

    def test_old_messages_are_deleted_one_by_one(self):
        old = [("DELETE", f"/channels/1/messages/{self.OLD + each}") for each in range(2)]
        assert self.shapes(self.OLD, self.YOUNG, self.YOUNG + 1, self.OLD + 1) == [("POST", 2), *old]

    def test_a_message_that_may_grow_old_while_waiting_counts_as_old(self):
        almost = snowflake(NOW_MS - BULK_AGE_MS + WAITING_MS)
        assert self.shapes(almost, almost + 1)[0][0] == "DELETE"

    def test_the_same_id_twice_is_one_message(self):
        assert self.shapes(self.YOUNG, self.YOUNG) == [("DELETE", f"/channels/1/messages/{self.YOUNG}")]

    def test_a_message_that_is_gone_already_is_no_error_and_the_reason_goes_along(self):
        (part,) = self.delete(self.OLD)
        assert part.tolerated == {10008}
        assert part.reason == "tidy"
        assert part.parameters == {"channel_id": "1", "message_id": str(self.OLD)}


class TestFollowUps:
    RESPONSE = pb.SendChannelMessageResponse(message=pb.Message(id=7), more_messages=[pb.Message(id=8)])

    def test_each_message_is_published_when_asked_for(self):
        request = pb.SendChannelMessageRequest(channel_id=1, crosspost=True)
        calls = follow_ups("SendChannelMessage", request, self.RESPONSE)
        assert [(call.method, call.path) for call in calls] == [
            ("POST", "/channels/1/messages/7/crosspost"),
            ("POST", "/channels/1/messages/8/crosspost"),
        ]
        assert all(call.tolerated == {50024, 40033} and call.body is None for call in calls)

    def test_otherwise_nothing_follows(self):
        assert follow_ups("SendChannelMessage", pb.SendChannelMessageRequest(channel_id=1), self.RESPONSE) == []
        assert follow_ups("GetChannel", pb.ChannelId(channel_id=1), pb.ChannelResponse()) == []


def test_a_sticker_and_target_users_are_files_of_a_form():
    (sticker,) = plan(
        "CreateGuildSticker",
        guild_id=1,
        name="cat",
        tags="cat",
        file=pb.File(filename="cat.png", content=b"x", content_type="image/png"),
    )
    (file,) = sticker.files
    assert (file.field, file.filename, file.content, file.content_type) == ("file", "cat.png", b"x", "image/png")
    assert sticker.body == {"name": "cat", "tags": "cat"}
    (users,) = plan("SetInviteTargetUsers", code="abc", user_ids=[5, 6])
    (file,) = users.files
    assert (file.field, file.content, users.document) == ("target_users_file", b"user_id\n5\n6\n", None)


class TestInteractionResponses:
    ROUTED = replace(CONTRACT["CreateInteractionResponse"], method="POST", template=CALLBACK, files=True)

    def made(self, *, users_only=False, **fields):
        request = pb.CreateInteractionResponseRequest(interaction_id=1, interaction_token="token", **fields)
        circumstances = Circumstances(seed="seed", now_ms=NOW_MS, users_only=users_only)
        (part,) = prepare(self.ROUTED.name, request, Translator(self.ROUTED).outgoing(request), circumstances)
        return part

    def test_choices(self):
        choices = [
            pb.CreateInteractionResponseRequest.Choice(name="One", integer_value=1),
            pb.CreateInteractionResponseRequest.Choice(name="1.5", number_value=1.5),
            pb.CreateInteractionResponseRequest.Choice(name="Two", string_value="2", name_localizations={"de": "Zwei"}),
        ]
        assert self.made(type="AUTOCOMPLETE", choices=choices, users_only=True).body == {
            "type": 8,
            "data": {
                "choices": [
                    {"name": "One", "value": 1},
                    {"name": "1.5", "value": 1.5},
                    {"name": "Two", "value": "2", "name_localizations": {"de": "Zwei"}},
                ]
            },
        }

    def test_no_choices_are_an_empty_list(self):
        assert self.made(type="AUTOCOMPLETE").body == {"type": 8, "data": {"choices": []}}

    def test_a_modal(self):
        text = pb.Component(type="TEXT_INPUT", custom_id="why", style=2)
        label = pb.Component(type="LABEL", label="Why?", component=text)
        made = self.made(type="MODAL", title="Report", custom_id="report", components=[label], users_only=True)
        assert made.body == {
            "type": 9,
            "data": {
                "title": "Report",
                "custom_id": "report",
                "components": [{"type": 18, "label": "Why?", "component": {"type": 4, "custom_id": "why", "style": 2}}],
            },
        }

    def test_a_modal_of_json(self):
        made = self.made(type="MODAL", title="t", custom_id="c", components_json='[{"type": 10, "content": "x"}]')
        assert made.body["data"]["components"] == [{"type": 10, "content": "x"}]

    def test_an_activity(self):
        assert self.made(type="LAUNCH_ACTIVITY").body == {"type": 12}

    @pytest.mark.parametrize(
        ("fields", "query"),
        [
            ({}, [("with_response", "true")]),
            ({"with_response": True}, [("with_response", "true")]),
            ({"with_response": False}, []),
        ],
        ids=["default", "true", "false"],
    )
    def test_the_response_contains_the_message_by_default(self, fields, query):
        assert self.made(content="x", **fields).query == query


def test_the_users_of_an_invite_are_a_file():
    (part,) = plan("CreateInvite", channel_id=1, role_ids=[5], user_ids=[7, 8])
    assert part.body == {"role_ids": ["5"]}
    (file,) = part.files
    assert (file.field, file.filename, file.content) == ("target_users_file", "users.csv", b"user_id\n7\n8\n")


def test_a_recurring_event():
    rule = pb.RecurrenceRule(
        start="2036-01-01T00:00:00Z",
        frequency=0,
        interval=1,
        by_weekday=[0, 6],
        by_n_weekday=[pb.RecurrenceRule.NthWeekday(n=1, day=0)],
    )
    assert body("EditScheduledEvent", guild_id=1, guild_scheduled_event_id=2, recurrence_rule=rule) == {
        "recurrence_rule": {
            "start": "2036-01-01T00:00:00Z",
            "frequency": 0,
            "interval": 1,
            "by_weekday": [0, 6],
            "by_n_weekday": [{"n": 1, "day": 0}],
        }
    }
