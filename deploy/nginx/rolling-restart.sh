#!/bin/sh
# Restart one worker behind nginx without losing a call; its addresses are separated by a comma:
#   rolling-restart.sh 127.0.0.1:50061,127.0.0.1:50081 http://127.0.0.1:50071/readyz systemctl restart discordproxy-api@1
# Removes the worker from the upstreams, restarts it, waits until it is ready, and adds it again.
set -eu
conf=${DISCORDPROXY_NGINX_CONF:-/etc/nginx/conf.d/discordproxy.conf}
nginx=${NGINX:-nginx}
addresses=$(echo "$1" | sed 's/,/\\|/g') ready=$2
shift 2

change() { # edits a copy, then overwrites the file in place
    sed "$1" "$conf" >"$conf.new"
    cat "$conf.new" >"$conf"
    rm "$conf.new"
    $nginx -s reload
}

change "s/^\( *server \($addresses\)\) max_fails/\1 down max_fails/"
sleep "${DISCORDPROXY_NGINX_PAUSE:-1}" # until the new configuration is active
"$@"
until curl --silent --fail --output /dev/null "$ready"; do sleep 0.2; done
change "s/^\( *server \($addresses\)\) down/\1/"
