// The whole client of discord.js: login, slash commands and interactions, with REST on the port.
import { BASE, TOKEN, CHANNEL, FILE, library, names, serve } from "./driver.mjs";

const { Client, ActionRowBuilder, ButtonBuilder, Events, GatewayIntentBits, ModalBuilder, TextInputBuilder } = library("discord.js");
const client = names.client ?? new Client({ intents: [GatewayIntentBits.Guilds], rest: { api: `${BASE}/api` } });
const outcomes = new Map();
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const commands = {
  reply: (interaction) => interaction.reply("reply of discord.js"),
  async slow_defer(interaction, seconds) {
    await pause(seconds * 1000);
    return commands.defer(interaction);
  },
  async defer(interaction) {
    await interaction.deferReply();
    await interaction.editReply("deferred and edited");
    await interaction.followUp("followed up");
    return (await interaction.fetchReply()).content;
  },
  async slow(interaction, seconds) {
    await pause(seconds * 1000);
    await interaction.reply(`late by ${seconds}`);
  },
  async slow_file(interaction, seconds) {
    await pause(seconds * 1000);
    await interaction.reply({ content: "file", files: [{ name: "a.bin", attachment: FILE }] });
  },
  file: (interaction) => commands.slow_file(interaction, 0),
  async fetched(interaction) {
    const { resource } = await interaction.reply({ content: "with response", withResponse: true });
    return resource.message.content;
  },
  button: (interaction) => interaction.reply({ content: "click", components: [row(button("b"), button("slow"))] }),
  ask(interaction) {
    const input = new TextInputBuilder({ customId: "text", label: "text", style: 1 });
    return interaction.showModal(new ModalBuilder({ customId: "m", title: "m" }).addComponents(row(input)));
  },
};

const row = (...components) => new ActionRowBuilder().addComponents(...components);
const button = (customId) => new ButtonBuilder({ customId, label: customId, style: 1 });

async function handled(interaction) {
  if (interaction.isAutocomplete()) return interaction.respond([{ name: interaction.options.getFocused(), value: "v" }]);
  if (interaction.customId === "slow") await pause(4500);
  if (interaction.isButton()) return interaction.update({ content: "clicked", components: [] });
  if (interaction.isModalSubmit()) return interaction.reply(`modal: ${interaction.fields.getTextInputValue("text")}`);
  return commands[interaction.commandName](interaction, interaction.options.getNumber("seconds"));
}

client.on(Events.InteractionCreate, async (interaction) => {
  const result = await handled(interaction).then((value) => ({ value: typeof value === "string" ? value : "" }), (error) => ({ error: String(error) }));
  outcomes.set(interaction.id, result);
});

await client.login(TOKEN);
client.rest.setToken(process.env.DISCORDPROXY_API_KEY); // the gateway keeps the bot's token
await new Promise((resolve) => (client.isReady() ? resolve() : client.once(Events.ClientReady, resolve)));

await serve({
  async register() {
    const seconds = { type: 10, name: "seconds", description: "d", autocomplete: true };
    const set = Object.keys(commands).map((name) => ({ name, description: "d", options: name.startsWith("slow") ? [seconds] : [] }));
    return { names: [...(await client.application.commands.set(set)).values()].map((each) => each.name) };
  },
  async outcome({ id }) {
    while (!outcomes.has(id)) await pause(10);
    return outcomes.get(id);
  },
  async send({ content }) {
    await (await client.channels.fetch(CHANNEL)).send(content);
  },
});
