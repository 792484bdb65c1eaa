"""SyncCommands, ListCommands and ReleaseCommands: each application owns its commands."""

import json

import grpc
import pytest

from discordproxy import discord_api_pb2 as pb
from integration.api.commands.conftest import GUILD, App, command, commands
from integration.api.conftest import serve


async def test_two_applications_share_a_bot(shop, bank, at_discord):
    assert await shop.sync(command("shop"), command("buy")) == {"shop": "CREATED", "buy": "CREATED"}
    assert await bank.sync(command("bank")) == {"bank": "CREATED"}
    assert at_discord.names == {"shop", "buy", "bank"}
    assert await shop.sync(command("shop", "Changed")) == {"shop": "UPDATED", "buy": "DELETED"}
    assert at_discord.names == {"shop", "bank"}
    assert at_discord["shop"]["description"] == "Changed"
    answer = await bank.answer()
    assert [(change.command.name, answer.others) for change in answer.changes] == [("bank", 1)]
    assert at_discord.names == {"shop"}
    assert await shop.owners() == {"shop": "shop"}


async def test_a_restart_reads_the_list_and_changes_nothing(shop, at_discord):
    declared = [
        command(
            "shop",
            name_localizations={"de": "laden"},
            default_member_permissions=8,
            contexts=["GUILD"],
            integration_types=["GUILD_INSTALL"],
            options=[
                pb.CommandOption(
                    type="SUB_COMMAND",
                    name="buy",
                    description="Buys",
                    options=[
                        pb.CommandOption(type="INTEGER", name="n", description="Number", min_value=1, required=True),
                        pb.CommandOption(
                            type="STRING",
                            name="item",
                            description=" Spaces ",
                            choices=[
                                pb.CommandOption.Choice(name="a", string_value="b", name_localizations={"de": "c"})
                            ],
                        ),
                    ],
                )
            ],
        ),
        pb.Command(name="Show orders", type="USER"),
    ]
    await shop.sync(*declared)
    at_discord.clear_requests()
    assert await shop.sync(*declared) == {"shop": "UNCHANGED", "Show orders": "UNCHANGED"}
    assert at_discord.requests == ["GET"]
    assert len(at_discord.discord.ledger.records) == 1  # the id of the application is known, too


async def test_discords_json_is_taken_as_well(shop, at_discord):
    declared = [{"name": "shop", "description": "x", "options": [{"type": 5, "name": "a", "description": "b"}]}]
    answer = await shop.answer(commands_json=json.dumps(declared))
    assert answer.changes[0].command.options[0].type == pb.CommandOption.BOOLEAN
    assert at_discord["shop"]["options"][0]["name"] == "a"
    assert (await shop.fails(command("shop"), commands_json="[]")).status == "INVALID_ARGUMENT"
    assert (await shop.fails(commands_json="{")).details["fields"][0]["path"] == "commands_json"
    assert (await shop.fails(commands_json="{}")).details["fields"][0]["path"] == "commands_json"
    invalid = await shop.fails(commands_json='[{"name": "Shop", "description": "x"}]')
    assert invalid.details["fields"][0]["path"] == "commands_json[0].name"


async def test_a_name_of_another_application_is_refused_and_nothing_changed(shop, bank, at_discord):
    await bank.sync(command("bank"), command("help", "Help of the bank"))
    at_discord.clear_requests()
    refusal = await shop.fails(command("new"), command("help"), take_over=True)
    assert (refusal.status, refusal.reason, refusal.details["sent"]) == ("ALREADY_EXISTS", "COMMAND_EXISTS", "no")
    assert "/help belongs to the application bank" in refusal.text
    assert refusal.details["conflicts"] == "/help=bank"
    assert at_discord.requests == ["GET"]
    assert at_discord["help"]["description"] == "Help of the bank"


async def test_a_name_stays_its_owners_even_if_somebody_deletes_the_command(shop, bank, at_discord):
    await bank.sync(command("bank"))
    at_discord.discord.world.commands[""].clear()
    assert "belongs to the application bank" in (await shop.fails(command("bank"))).text
    assert await bank.sync(command("bank")) == {"bank": "CREATED"}


async def test_commands_without_an_owner_are_adopted_or_taken_over(shop, at_discord):
    same, other = at_discord.add("same"), at_discord.add("other", description="Before")
    refusal = await shop.fails(command("same"), command("other"))
    assert (refusal.status, refusal.details["conflicts"]) == ("ALREADY_EXISTS", "/other=")
    assert "take_over" in refusal.text
    assert at_discord.changes == []
    assert await shop.sync(command("same"), command("other"), take_over=True) == {"same": "ADOPTED", "other": "UPDATED"}
    assert {each["id"] for each in at_discord.of(0)} == {same["id"], other["id"]}
    assert at_discord.changes == ["PATCH"]
    assert await shop.owners() == {"same": "shop", "other": "shop"}


async def test_a_dry_run_changes_nothing(shop, at_discord, served):
    at_discord.add("same")
    await shop.sync(command("old"))
    before = dict(served.broker.tables.kept["commands:0"])
    at_discord.clear_requests()
    made = await shop.sync(command("new"), command("same"), dry_run=True)
    assert made == {"new": "CREATED", "same": "ADOPTED", "old": "DELETED"}
    assert at_discord.requests == ["GET"]
    assert served.broker.tables.kept["commands:0"] == before


async def test_the_commands_of_a_guild_are_a_scope_of_their_own(shop, bank, at_discord):
    await shop.sync(command("help"))
    assert await bank.sync(command("help"), guild_id=GUILD) == {"help": "CREATED"}
    assert (len(at_discord.of(0)), len(at_discord.of(GUILD))) == (1, 1)
    assert await bank.sync() == {}
    assert (await bank.owners(), await bank.owners(GUILD)) == ({"help": "shop"}, {"help": "bank"})
    assert await bank.sync(guild_id=GUILD) == {"help": "DELETED"}
    assert at_discord.names == {"help"}


async def test_ids_and_so_permissions_stay(shop, bank, at_discord):
    await shop.sync(*commands(10))
    ids = {each["name"]: each["id"] for each in at_discord.of(0)}
    await bank.sync(*commands(7, "b"))
    await shop.sync(*commands(10, description="Changed"))
    assert {each["name"]: each["id"] for each in at_discord.of(0) if each["name"] in ids} == ids
    assert at_discord.changes == ["PUT", "PUT", "PUT"]


async def test_translations_and_permissions_of_others_stay_in_a_replaced_list(shop, at_discord):
    """As in Discord.Net#2757: a list that is read without translations and written back loses them."""
    foreign = at_discord.add(
        "foreign",
        name_localizations={"de": "fremd"},
        description_localizations={"de": "Ein Befehl"},
        default_member_permissions="8",
        dm_permission=False,
        nsfw=True,
        options=[
            {
                "type": 3,
                "name": "item",
                "description": "What",
                "name_localizations": {"de": "ware"},
                "choices": [{"name": "a", "value": "b", "name_localizations": {"de": "c"}}],
            }
        ],
    )
    before = dict(foreign)
    await shop.sync(*commands(8))
    assert at_discord.changes == ["PUT"]
    after = at_discord["foreign"]
    assert {**after, "version": ""} == {**before, "version": ""}


async def test_the_entry_point_of_an_activity_stays(shop, at_discord):
    """A list without it is error 50240."""
    launch = at_discord.add("launch", type=4, description="Starts", handler=2)
    await shop.sync(*commands(8))
    assert at_discord["launch"]["id"] == launch["id"]
    await shop.sync()
    assert at_discord.names == {"launch"}


async def test_a_hundred_commands_and_one(shop, bank, at_discord):
    await shop.sync(*commands(100))
    refusal = await bank.fails(command("bank"))
    assert (refusal.status, refusal.reason) == ("FAILED_PRECONDITION", "COMMANDS_FULL")
    assert "bank declares 1, and there are 100 others" in refusal.text
    assert at_discord.changes == ["PUT"]
    assert await bank.sync(pb.Command(name="Report", type="MESSAGE")) == {"Report": "CREATED"}
    made = await shop.sync(*commands(99), command("one-more"))
    assert (made["c99"], made["one-more"]) == ("DELETED", "CREATED")
    assert len(at_discord.of(0)) == 101
    too_many = await shop.fails(*commands(101))
    assert (too_many.status, too_many.details["fields"][0]["path"]) == ("INVALID_ARGUMENT", "commands")


async def test_a_released_command_can_be_taken_over(shop, bank, at_discord):
    await shop.sync(command("help"), command("shop"))
    request = pb.ReleaseCommandsRequest(names=["help", "unknown"])
    released = await shop.stub.ReleaseCommands(request, metadata=shop.metadata)
    assert [each.name for each in released.commands] == ["help"]
    assert await shop.owners() == {"help": "", "shop": "shop"}
    assert await bank.sync(command("help", "Of the bank"), take_over=True) == {"help": "UPDATED"}
    assert await shop.sync(command("shop")) == {"shop": "UNCHANGED"}
    assert await bank.owners() == {"help": "bank", "shop": "shop"}


async def test_an_operator_releases_the_commands_of_a_former_application(shop, bank):
    await shop.sync(command("help"))
    request = pb.ReleaseCommandsRequest(names=["help"], owner="shop")
    await bank.stub.ReleaseCommands(request, metadata=bank.metadata)
    assert await bank.owners() == {"help": ""}


async def test_a_deleted_command_that_was_created_again_elsewhere_is_not_deleted(shop, at_discord):
    await shop.sync(command("shop"))
    at_discord.discord.world.commands[""].clear()
    again = at_discord.add("shop", description="Of somebody else")
    assert await shop.sync() == {"shop": "DELETED"}
    assert [each["id"] for each in at_discord.of(0)] == [again["id"]]


async def test_what_discord_removes_from_a_text_causes_no_update_at_each_start(shop, at_discord):
    """As in sapphire#692: Discord stores another text than was declared, so each start registered the command again."""
    await shop.sync(command("shop", " Opens the shop "))
    assert at_discord["shop"]["description"] == "Opens the shop"
    assert await shop.sync(command("shop", " Opens the shop ")) == {"shop": "UNCHANGED"}
    assert at_discord.requests == ["GET", "POST", "GET"]


async def test_the_application_is_found_once(discord):
    async with serve(discord) as first:
        await App(first.stub, "shop").sync(command("shop"))
        async with serve(discord, first.broker) as second:
            await App(second.stub, "shop").sync(command("shop"))
    assert [each.path for each in discord.ledger.records].count("/applications/@me") == 1


async def test_an_invalid_command_is_refused_before_a_request(shop, at_discord):
    refusal = await shop.fails(command("shop"), command("Bank"), command("x" * 33))
    assert [each["path"] for each in refusal.details["fields"]] == ["commands[1].name", "commands[2].name"]
    assert at_discord.requests == []


@pytest.mark.parametrize("name", ["SyncCommands", "ListCommands"])
async def test_errors_of_discord_are_passed_on(served, name):
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await getattr(served.stub, name)(getattr(pb, f"{name}Request")(guild_id=5))
    assert json.loads(failed.value.details())["code"] == 10004
