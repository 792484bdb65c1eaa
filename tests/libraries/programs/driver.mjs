// Runs the commands of the test's runner with a JavaScript library: one JSON object a line in, one out.
import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

export const { BASE_URL: BASE, TOKEN, CHANNEL, GUILD, SNIPPET } = process.env;
export const FILE = Buffer.concat(Array(12_288).fill(Buffer.from(Uint8Array.from({ length: 256 }, (_, n) => n))));
export const REASON = "café ❤";
export const library = createRequire(process.cwd() + "/");
export const names = SNIPPET ? await import(pathToFileURL(SNIPPET).href) : {};

const described = (error) => `${error.name} ${error.status ?? error.cause?.status ?? error.code ?? ""}`.trim();

export async function burst(number, send, content) {
  const found = await Promise.allSettled([...Array(number).keys()].map((n) => send(`${content} ${n}`)));
  const failed = found.filter((each) => each.status === "rejected").map((each) => described(each.reason));
  const errors = {};
  for (const each of failed) errors[each] = (errors[each] ?? 0) + 1;
  return { sent: number - failed.length, errors };
}

export async function serve(actions) {
  const answer = (document) => process.stdout.write(JSON.stringify(document) + "\n");
  answer({ ready: true });
  for await (const line of createInterface({ input: process.stdin })) {
    const command = JSON.parse(line);
    try {
      answer((await actions[command.do](command)) ?? {});
    } catch (error) {
      answer({ error: described(error), text: String(error.stack ?? error).slice(0, 500) });
    }
  }
  process.exit(0);
}
