// Runs @discordjs/proxy against a Discord on this machine: node peer_discordjs.cjs DISCORD_PORT PORT
const { createServer } = require('node:http');
const { proxyRequests } = require('@discordjs/proxy');
const { REST } = require('@discordjs/rest');

const [discordPort, port] = process.argv.slice(2);
const api = `http://127.0.0.1:${discordPort}/api`;
createServer(proxyRequests(new REST({ api, globalRequestsPerSecond: 1_000_000 }))).listen(Number(port), '127.0.0.1');
