// Sends a message with generated types.
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";

import { DiscordApi } from "./gen/discordproxy/discord_api_pb.js";

const baseUrl = `http://${process.env["DISCORDPROXY_TARGET"] ?? "localhost:50051"}`;
const channel = 500000000000000001n;

const transport = createGrpcTransport({ baseUrl, readMaxBytes: 64 * 1024 * 1024 });
const client = createClient(DiscordApi, transport);
const { message } = await client.sendChannelMessage(
  { channelId: channel, content: "Hello from TypeScript" },
  { timeoutMs: 30_000 },
);
console.log(message?.id.toString());
process.exit(0); // the connection stays open for further calls
