// @discordjs/rest on the REST port: only the base URL is changed.
import assert from "node:assert";
import { createRequire } from "node:module";

const { REST, Routes } = { ...createRequire(process.cwd() + "/")("@discordjs/rest"), ...createRequire(process.cwd() + "/")("discord-api-types/v10") };
const { REST_URL, TOKEN, CHANNEL, GUILD, WAIT, BURST = "10" } = process.env;
const own = WAIT ? { timeout: 300_000, globalRequestsPerSecond: Infinity, offset: 0 } : {};
const rest = new REST({ api: `${REST_URL}${WAIT ? `/wait=${WAIT}` : ""}/app=discordjs/api`, ...own }).setToken(TOKEN);
const messages = Routes.channelMessages(CHANNEL);

const message = await rest.post(messages, { body: { content: "discordjs says hello" } });
await rest.patch(Routes.channelMessage(CHANNEL, message.id), { body: { content: "discordjs edited" } });
await rest.put(Routes.channelMessageOwnReaction(CHANNEL, message.id, encodeURIComponent("👍")));
const data = Buffer.alloc(3 * 1024 * 1024, 7);
const uploaded = await rest.post(messages, { body: { content: "discordjs uploads" }, files: [{ name: "three-mib.bin", data }] });
assert.equal(uploaded.attachments[0].size, data.length);
assert.equal((await rest.get(Routes.guild(GUILD))).id, GUILD);
const made = await rest.post(Routes.guildChannels(GUILD), { body: { name: "made-by-discordjs" }, reason: "café ❤" });
await rest.delete(Routes.channel(made.id));
const hook = await rest.post(Routes.channelWebhooks(CHANNEL), { body: { name: "hook of js" } });
await rest.post(Routes.webhook(hook.id, hook.token), { body: { content: "discordjs by webhook" }, auth: false });
await rest.delete(Routes.webhook(hook.id));
await rest.delete(Routes.channelMessage(CHANNEL, message.id));
const burst = await Promise.all([...Array(Number(BURST)).keys()].map((n) => rest.post(messages, { body: { content: `discordjs burst ${n}` } })));
assert.equal(new Set(burst.map((each) => each.id)).size, Number(BURST));
await assert.rejects(rest.get(Routes.channel("1")), { code: 10003 });
