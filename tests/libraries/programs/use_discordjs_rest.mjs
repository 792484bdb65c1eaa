// @discordjs/rest on the REST port: only the base URL is changed.
import assert from "node:assert";
import { BASE, TOKEN, CHANNEL, GUILD, FILE, REASON, library, names, burst, serve } from "./driver.mjs";

const { REST } = library("@discordjs/rest");
const { Routes } = library("discord-api-types/v10");
const rest = names.rest ?? new REST({ api: `${BASE}/api` }).setToken(TOKEN);
const messages = Routes.channelMessages(CHANNEL);
const send = (content) => rest.post(messages, { body: { content } });

async function operations({ interaction }) {
  const message = await send("hello");
  await rest.patch(Routes.channelMessage(CHANNEL, message.id), { body: { content: "edited" } });
  await rest.put(Routes.channelMessageOwnReaction(CHANNEL, message.id, encodeURIComponent("👍")));
  const uploaded = await rest.post(messages, { body: { content: "uploads" }, files: [{ name: "three-mib.bin", data: FILE }] });
  assert.equal(uploaded.attachments[0].size, FILE.length);
  assert.equal((await rest.get(Routes.guild(GUILD))).id, GUILD);
  assert.equal((await rest.get(Routes.guildMembers(GUILD), { query: new URLSearchParams({ limit: "3" }) })).length, 3);
  const made = await rest.post(Routes.guildChannels(GUILD), { body: { name: "made" }, reason: REASON });
  await rest.delete(Routes.channel(made.id));
  const hook = await rest.post(Routes.channelWebhooks(CHANNEL), { body: { name: "hook" } });
  await rest.post(Routes.webhook(hook.id, hook.token), { body: { content: "by webhook" }, auth: false });
  await assert.rejects(rest.post(Routes.webhook(hook.id, "wrong"), { body: { content: "not sent" }, auth: false }), { code: 50027 });
  await rest.delete(Routes.webhook(hook.id));
  await rest.delete(Routes.channelMessage(CHANNEL, message.id));
  const answer = { type: 4, data: { content: "answers" } };
  await rest.post(Routes.interactionCallback(interaction.id, interaction.token), { body: answer, auth: false });
  await assert.rejects(rest.get(Routes.channel("1")), { code: 10003 });
}

await serve({
  operations,
  burst: ({ number, content }) => burst(number, send, content),
  send: async ({ content }) => void (await send(content)),
  channel: async ({ content }) => void (await rest.post(Routes.guildChannels(GUILD), { body: { name: content } })),
});
