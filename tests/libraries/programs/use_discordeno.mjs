// @discordeno/rest on the REST port: `proxy.baseUrl` switches its own limiter off; every 429 is the application's.
import assert from "node:assert";
import { pathToFileURL } from "node:url";

const folder = process.cwd() + "/node_modules/@discordeno/rest/";
const { createRestManager } = await import(pathToFileURL(folder + "dist/esm/index.js").href)
  .catch(() => import(pathToFileURL(folder + "dist/index.js").href));
const { REST_URL, TOKEN, CHANNEL, GUILD, WAIT, BURST = "10" } = process.env;
const rest = createRestManager({ token: TOKEN, proxy: { baseUrl: `${REST_URL}${WAIT ? `/wait=${WAIT}` : ""}/app=discordeno/api` } });

const message = await rest.sendMessage(CHANNEL, { content: "discordeno says hello" });
await rest.editMessage(CHANNEL, message.id, { content: "discordeno edited" });
await rest.addReaction(CHANNEL, message.id, "👍");
const blob = new Blob([Buffer.alloc(3 * 1024 * 1024, 7)]);
const uploaded = await rest.sendMessage(CHANNEL, { content: "discordeno uploads", files: [{ name: "three-mib.bin", blob }] });
assert.equal(uploaded.attachments[0].size, blob.size);
assert.equal(String((await rest.getGuild(GUILD)).id), GUILD);
const made = await rest.createChannel(GUILD, { name: "made-by-discordeno" }, "café ❤");
await rest.deleteChannel(made.id);
const hook = await rest.createWebhook(CHANNEL, { name: "hook of deno" });
await rest.executeWebhook(hook.id, hook.token, { content: "discordeno by webhook" });
await rest.deleteWebhook(hook.id);
await rest.deleteMessage(CHANNEL, message.id);
const sends = [...Array(Number(BURST)).keys()].map((n) => rest.sendMessage(CHANNEL, { content: `discordeno burst ${n}` }));
const results = await Promise.allSettled(sends);
const refused = results.filter((each) => each.status === "rejected").length;
assert.ok(WAIT ? refused === 0 : refused < Number(BURST), `${refused} refused`);
console.log(`refused=${refused}`);
await assert.rejects(rest.getChannel("1"));
process.exit(0);
