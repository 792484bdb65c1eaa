// @discordeno/rest on the REST port: `proxy.baseUrl` switches its own limiter off; every 429 is the application's.
import assert from "node:assert";
import { pathToFileURL } from "node:url";
import { BASE, TOKEN, CHANNEL, GUILD, FILE, REASON, names, burst, serve } from "./driver.mjs";

const module = pathToFileURL(process.cwd() + "/node_modules/@discordeno/rest/dist/esm/index.js").href;
const rest = names.rest ?? (await import(module)).createRestManager({ token: TOKEN, proxy: { baseUrl: `${BASE}/api` } });
const send = (content) => rest.sendMessage(CHANNEL, { content });

async function operations({ interaction }) {
  const message = await send("hello");
  await rest.editMessage(CHANNEL, message.id, { content: "edited" });
  await rest.addReaction(CHANNEL, message.id, "👍");
  const blob = new Blob([FILE]);
  const uploaded = await rest.sendMessage(CHANNEL, { content: "uploads", files: [{ name: "three-mib.bin", blob }] });
  assert.equal(uploaded.attachments[0].size, blob.size);
  assert.equal(String((await rest.getGuild(GUILD)).id), GUILD);
  assert.equal((await rest.getMembers(GUILD, { limit: 3 })).length, 3);
  const made = await rest.createChannel(GUILD, { name: "made" }, REASON);
  await rest.deleteChannel(made.id);
  const hook = await rest.createWebhook(CHANNEL, { name: "hook" });
  await rest.executeWebhook(hook.id, hook.token, { content: "by webhook" });
  await assert.rejects(rest.executeWebhook(hook.id, "wrong", { content: "not sent" }));
  await rest.deleteWebhook(hook.id);
  await rest.deleteMessage(CHANNEL, message.id);
  await rest.sendInteractionResponse(interaction.id, interaction.token, { type: 4, data: { content: "answers" } });
  await assert.rejects(rest.getChannel("1"));
}

await serve({
  operations,
  burst: ({ number, content }) => burst(number, send, content),
  send: async ({ content }) => void (await send(content)),
  channel: async ({ content }) => void (await rest.createChannel(GUILD, { name: content })),
});
