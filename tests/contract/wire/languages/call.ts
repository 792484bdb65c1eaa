// Calls the proxy at the address given as the first argument, and prints parts of the responses as JSON.
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";

import { Channel_Type } from "./gen/discordproxy/channels_pb.js";
import { Component_Type } from "./gen/discordproxy/components_pb.js";
import { DiscordApi } from "./gen/discordproxy/discord_api_pb.js";

const address = process.argv[2];
const transport = createGrpcTransport({ baseUrl: `http://${address}`, readMaxBytes: 64 * 2 ** 20 });
const client = createClient(DiscordApi, transport);

const sent = await client.sendChannelMessage({
  channelId: 2n ** 62n,
  content: "from TypeScript",
  components: [{ type: Component_Type.TEXT_DISPLAY, content: "x" }],
});
const { channel } = await client.getChannel({ channelId: 5n });
const anything = await client.request({ method: "GET", path: "/users/@me" });

console.log(
  JSON.stringify({
    id: sent.message?.id.toString(),
    isText: channel?.type === Channel_Type.GUILD_TEXT,
    status: anything.status,
  }),
);
process.exit(0);
