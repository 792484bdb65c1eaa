// Sends a message with grpc-js. The proto files are read at run time.
import { fileURLToPath } from "node:url";

import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const target = process.env.DISCORDPROXY_TARGET ?? "localhost:50051";
const protos = fileURLToPath(new URL("../../protos", import.meta.url));
const channel = "500000000000000001";

const definition = protoLoader.loadSync("discordproxy/discord_api.proto", {
  includeDirs: [protos],
  keepCase: true,
  longs: String,
  enums: String,
});
const { DiscordApi } = grpc.loadPackageDefinition(definition).discord_api;
const client = new DiscordApi(target, grpc.credentials.createInsecure(), {
  "grpc.max_receive_message_length": 64 * 1024 * 1024,
});

const call = { deadline: Date.now() + 30_000 };
client.SendChannelMessage({ channel_id: channel, content: "Hello from Node" }, call, (error, response) => {
  client.close();
  if (error) {
    const { text, sent, retry_after } = JSON.parse(error.details);
    throw new Error(`${text}, sent: ${sent}, retry after: ${retry_after}`);
  }
  console.log(response.message.id);
});
