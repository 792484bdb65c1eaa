// oceanic.js on the REST port: only the base URL is changed.
const assert = require("node:assert");
const { Client } = require("node:module").createRequire(process.cwd() + "/")("oceanic.js");

const { REST_URL, TOKEN, CHANNEL, GUILD, WAIT, BURST = "10" } = process.env;
const own = WAIT ? { requestTimeout: 300_000 } : {};
const client = new Client({
  auth: `Bot ${TOKEN}`,
  rest: { baseURL: `${REST_URL}${WAIT ? `/wait=${WAIT}` : ""}/app=oceanic/api/v10`, ...own },
});

async function main() {
  const { channels, guilds, webhooks } = client.rest;
  const message = await channels.createMessage(CHANNEL, { content: "oceanic says hello" });
  await channels.editMessage(CHANNEL, message.id, { content: "oceanic edited" });
  await channels.createReaction(CHANNEL, message.id, "👍");
  const contents = Buffer.alloc(3 * 1024 * 1024, 7);
  const uploaded = await channels.createMessage(CHANNEL, { content: "oceanic uploads", files: [{ name: "three-mib.bin", contents }] });
  assert.equal([...uploaded.attachments.values()][0].size, contents.length);
  const made = await guilds.createChannel(GUILD, 0, { name: "made-by-oceanic", reason: "café ❤" });
  await channels.delete(made.id);
  const hook = await webhooks.create(CHANNEL, { name: "hook of oceanic" });
  await webhooks.execute(hook.id, hook.token, { content: "oceanic by webhook" });
  await webhooks.delete(hook.id);
  await channels.deleteMessage(CHANNEL, message.id);
  const sends = [...Array(Number(BURST)).keys()].map((n) => channels.createMessage(CHANNEL, { content: `oceanic burst ${n}` }));
  const results = await Promise.allSettled(sends); // it throws if retry_after exceeds 30 seconds
  const refused = results.filter((each) => each.status === "rejected").length;
  assert.ok(WAIT ? refused === 0 : refused < Number(BURST), `${refused} refused`);
  console.log(`refused=${refused}`);
  await assert.rejects(channels.get("1"), (error) => error.code === 10003);
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
