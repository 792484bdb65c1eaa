// Runs @discordjs/proxy against a Discord on this machine: GLOBAL_LIMIT=50 node peer_discordjs.cjs DISCORD_PORT PORT
const { createServer } = require('node:http');
const { proxyRequests } = require('@discordjs/proxy');
const { REST } = require('@discordjs/rest');

const [discordPort, port] = process.argv.slice(2);
const api = `http://127.0.0.1:${discordPort}/api`;
const globalRequestsPerSecond = Number(process.env.GLOBAL_LIMIT);
createServer(proxyRequests(new REST({ api, globalRequestsPerSecond }))).listen(Number(port), '127.0.0.1');
