"""Responses to interactions, invites with users, and the typed interactions of the fake proxy."""

import pytest

from discordproxy.discord_api_pb2 import (
    Channel,
    Component,
    CreateInteractionResponseRequest,
    File,
    Interaction,
    KeepAttachment,
    Message,
)


def response(proxy):
    return proxy.requests("CreateInteractionResponse")[-1]


def test_choices_of_a_mapping(proxy, client):
    client.create_interaction_response(1, "token", type="autocomplete", choices={"One": 1, "Half": 0.5, "Two": "2"})
    assert response(proxy).type == CreateInteractionResponseRequest.AUTOCOMPLETE
    values = [(each.name, each.WhichOneof("value")) for each in response(proxy).choices]
    assert values == [("One", "integer_value"), ("Half", "number_value"), ("Two", "string_value")]
    assert not response(proxy).clear


def test_choices_as_objects(proxy, client):
    choice = CreateInteractionResponseRequest.Choice(name="One", name_localizations={"de": "Eins"})
    choice.integer_value = 1
    client.create_interaction_response(1, "token", type="autocomplete", choices=iter([choice]))
    assert list(response(proxy).choices) == [choice]


def test_no_choices(proxy, client):
    client.create_interaction_response(1, "token", type="autocomplete", choices={})
    assert not response(proxy).choices
    assert not response(proxy).clear


@pytest.mark.parametrize("value", [True, None, [1]], ids=["bool", "none", "list"])
def test_a_choice_is_a_text_or_a_number(client, value):
    with pytest.raises(ValueError, match=r"choices\['x'\]: must be a text or a number"):
        client.create_interaction_response(1, "token", type="autocomplete", choices={"x": value})


def test_a_modal_has_no_flags(proxy, client):
    label = Component(type="LABEL", label="Why?", component=Component(type="TEXT_INPUT", custom_id="why", style=2))
    client.create_interaction_response(1, "token", type="modal", title="t", custom_id="c", components=[label])
    request = response(proxy)
    assert (request.title, request.custom_id, request.flags) == ("t", "c", 0)
    assert list(request.components) == [label]


def test_the_users_of_an_invite(proxy, client):
    client.create_invite(5, role_ids=[6], user_ids=[7, 8])
    client.create_invite(5)
    first, second = proxy.requests("CreateInvite")
    assert (list(first.role_ids), list(first.user_ids)) == ([6], [7, 8])
    assert not second.user_ids


def test_attachments_of_the_fake(proxy, client):
    sent = client.create_channel_message(5, files=[File(filename="a", content=b"x", spoiler=True, title="A")])
    (attachment,) = sent.attachments
    assert (attachment.title, attachment.flags) == ("A", Message.Attachment.IS_SPOILER)
    kept = KeepAttachment(id=attachment.id, is_spoiler=False, title="B", description="alt")
    (attachment,) = client.edit_channel_message(5, sent.id, attachments=[kept]).attachments
    assert (attachment.title, attachment.description, attachment.flags) == ("B", "alt", 0)


def test_events_of_the_fake_carry_the_interaction(proxy, client):
    proxy.emit(
        "INTERACTION_CREATE",
        id="1",
        type=2,
        token="t",
        guild_id="7",
        unknown={"x": 1},
        locale=None,
        member={"user": {"id": "9", "username": "u"}, "roles": ["3"]},
        authorizing_integration_owners={"0": "7"},
        data={
            "name": "grant",
            "resolved": {
                "channels": {"5": {"id": "5", "type": 0}},
                "roles": {"3": {"id": "3", "tags": {"bot_id": "4"}}},
            },
            "options": [
                {"name": "days", "type": 4, "value": 3},
                {"name": "to", "type": 7, "value": "5"},
                {"name": "now", "type": 5, "value": True},
            ],
        },
    )
    proxy.emit("MESSAGE_CREATE", id="2")
    first, second = client.events()
    used = first.interaction
    assert (used.id, used.type, used.user.id) == (1, Interaction.APPLICATION_COMMAND, 9)
    assert (used.member.user, used.member.guild_id) == (used.user, 7)
    assert dict(used.authorizing_integration_owners) == {"0": 7}
    assert used.data.resolved.channels[5].type == Channel.GUILD_TEXT
    assert used.data.resolved.roles[3].tags[0].id == 4
    days, to, now = used.data.options
    assert (days.integer_value, to.string_value, now.boolean_value) == (3, "5", True)
    assert not second.HasField("interaction")
