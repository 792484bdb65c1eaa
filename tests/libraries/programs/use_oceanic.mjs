// oceanic.js on the REST port: only the base URL is changed.
import assert from "node:assert";
import { BASE, TOKEN, CHANNEL, GUILD, FILE, REASON, library, names, burst, serve } from "./driver.mjs";

const { Client } = library("oceanic.js");
const client = names.client ?? new Client({ auth: `Bot ${TOKEN}`, rest: { baseURL: `${BASE}/api/v10` } });
client.on("error", () => {}); // emitted after each timeout; without a listener, the process ends
await client.restMode();
const { channels, guilds, interactions, webhooks } = client.rest;
const send = (content) => channels.createMessage(CHANNEL, { content });

async function operations({ interaction }) {
  const message = await send("hello");
  await channels.editMessage(CHANNEL, message.id, { content: "edited" });
  await channels.createReaction(CHANNEL, message.id, "👍");
  const uploaded = await channels.createMessage(CHANNEL, { content: "uploads", files: [{ name: "three-mib.bin", contents: FILE }] });
  assert.equal([...uploaded.attachments.values()][0].size, FILE.length);
  assert.equal((await guilds.get(GUILD)).id, GUILD);
  assert.equal((await guilds.getMembers(GUILD, { limit: 3 })).length, 3);
  const made = await guilds.createChannel(GUILD, 0, { name: "made", reason: REASON });
  await channels.delete(made.id);
  const hook = await webhooks.create(CHANNEL, { name: "hook" });
  await webhooks.execute(hook.id, hook.token, { content: "by webhook" });
  await assert.rejects(webhooks.execute(hook.id, "wrong", { content: "not sent" }), (error) => error.code === 50027);
  await webhooks.delete(hook.id);
  await channels.deleteMessage(CHANNEL, message.id);
  await interactions.createInteractionResponse(interaction.id, interaction.token, { type: 4, data: { content: "answers" } });
  await assert.rejects(channels.get("1"), (error) => error.code === 10003);
}

await serve({
  operations,
  burst: ({ number, content }) => burst(number, send, content),
  send: async ({ content }) => void (await send(content)),
  channel: async ({ content }) => void (await guilds.createChannel(GUILD, 0, { name: content })),
});
