#!/bin/sh
# Sends a message through the REST port with curl. With keys: --header "Authorization: Bearer dpk_..."
set -eu

url=${REST_URL:-http://127.0.0.1:50052}
channel=500000000000000001

curl --silent --show-error --fail-with-body \
    --header 'Content-Type: application/json' \
    --header 'X-Discordproxy-App: shell' \
    --data '{"content": "Hello from curl"}' \
    "$url/api/v10/channels/$channel/messages"
