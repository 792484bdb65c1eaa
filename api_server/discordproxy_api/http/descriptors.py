"""Lets the process open as many files as its connections take."""

import logging
import resource

from discordproxy_api.http.connections import ConnectionLimits

log = logging.getLogger("discordproxy_api")

_OWN_FILES = 256 + ConnectionLimits().connections
"""Descriptors that are not callers': connections to Redis and Discord, of the operators' port, the log."""

_ENOUGH = 1000
"""Connections of a port, from which on a lower number than the setting's is no warning."""


def possible_connections(wanted: int, ports: int) -> int:
    """Return how many connections each of some ports can hold, and raise the process's limit of open files.

    A worker without descriptors could accept no connection, and reach neither Redis nor Discord.
    """
    all_wanted = wanted * ports
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = all_wanted + _OWN_FILES
    if soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, all_wanted + _OWN_FILES)), hard))
    possible = min(wanted, max(hard - _OWN_FILES, hard // 4, ports) // ports)
    if possible < wanted:
        log.log(
            logging.WARNING if possible < _ENOUGH else logging.INFO,
            "At most %d connections: this process may open only %d files; raise ulimit -n (systemd: LimitNOFILE)",
            *(possible * ports, hard),
        )
    return possible
