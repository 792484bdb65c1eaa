// discord.js' command manager on the REST port: `commands.set` replaces the list of commands, as in every bot.
import { createRequire } from "node:module";

const { Client, ClientApplication, SlashCommandBuilder } = createRequire(process.cwd() + "/")("discord.js");
const { BASE_URL, TOKEN, APPLICATION } = process.env;
const [names, guild] = [process.argv[2].split(",").filter(Boolean), process.argv[3]];

const client = new Client({ intents: [], rest: { api: BASE_URL } });
client.rest.setToken(TOKEN);
client.application = new ClientApplication(client, { id: APPLICATION });
const commands = names.map((name) =>
    new SlashCommandBuilder()
        .setName(name)
        .setDescription(`${name} of discord.js`)
        .setDescriptionLocalizations({ de: `${name} von discord.js` })
        .addIntegerOption((option) => option.setName("count").setDescription("How many").setMinValue(1)),
);
const scope = guild === "0" ? undefined : guild;
const set = await client.application.commands.set(commands, scope);
const fetched = await client.application.commands.fetch({ guildId: scope });
console.log(JSON.stringify({ set: set.map((each) => each.name), fetched: fetched.map((each) => each.name) }));
await client.destroy();
