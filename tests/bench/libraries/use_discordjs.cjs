// A caller of the library benchmark with @discordjs/rest; only the base URL, the timeout and its own limiter are changed.
const readline = require("node:readline");
const { REST } = require("@discordjs/rest");

const now = () => Number(process.hrtime.bigint()) / 1e9;
const report = (news) => process.stdout.write(JSON.stringify(news) + "\n");

async function send(rest, beginAt, [label, channel, at]) {
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, (beginAt + at - now()) * 1000)));
  const submittedAt = now();
  let id = "0";
  let error = "";
  try {
    ({ id } = await rest.post(`/channels/${channel}/messages`, { body: { content: `message ${label}` } }));
  } catch (raised) {
    error = `${raised.name}: ${raised.message}`.slice(0, 300);
  }
  return [label, submittedAt, now(), id, error];
}

async function main() {
  const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const job = JSON.parse((await lines.next()).value);
  const limiter = job.own_limiter ? {} : { timeout: 300_000, globalRequestsPerSecond: Infinity, offset: 0 };
  const rest = new REST({ api: job.api, ...limiter }).setToken(job.token);
  await rest.get("/users/@me");
  report("ready");
  const beginAt = JSON.parse((await lines.next()).value);
  report(await Promise.all(job.messages.map((message) => send(rest, beginAt, message))));
  process.exit(0);
}

main();
