"""What Linux reports about a process: CPU time, memory, children, the owner of a connection."""

import contextlib
import socket
import time
from collections.abc import Iterable
from pathlib import Path

_CPUCLOCK_SCHED = 2
_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")


def cpu_s(pid: int) -> float:
    """Return user and system time of all threads so far, in seconds.

    Read from the process's CPU clock: the same sum as utime and stime of /proc/PID/stat, in nanoseconds instead of
    ticks of ten milliseconds.
    """
    return time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)


def cpu_of(pids: Iterable[int]) -> dict[int, float]:
    """Return `cpu_s` of those processes that still run."""
    found = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            found[pid] = cpu_s(pid)
    return found


def memory_mb(pid: int) -> dict[str, float]:
    """Return `rss` and `pss` in MB (10^6 bytes)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    kib = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    return {"rss": kib["Rss"] * 1024 / 1e6, "pss": kib["Pss"] * 1024 / 1e6}


def descendants(pid: int) -> list[int]:
    """Return `pid` and all that it started, directly or not, in order of their ids."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return sorted(found)


def command(pid: int) -> list[str]:
    """Return the arguments of the process."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")


def command_name(pid: int) -> str:
    """Return the short name that the kernel shows for the process."""
    return Path(f"/proc/{pid}/comm").read_text().strip()


def sockets(pid: int) -> set[str]:
    """Return the inodes of the sockets that the process holds."""
    found = set()
    with contextlib.suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                target = str(descriptor.readlink())
                if target.startswith("socket:["):
                    found.add(target[len("socket:[") : -1])
    return found


def unix_sockets(pid: int) -> list[str]:
    """Return the paths of the unix sockets that the process holds."""
    held = sockets(pid)
    rows = (line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:])
    return sorted({row[7] for row in rows if len(row) > 7 and row[6] in held})


def server_of(port: int, pids: list[int], within_s: float = 10.0) -> int:
    """Return which of the processes accepts a connection to a port of this machine.

    A listening socket can be shared by many processes, an accepted one cannot.

    Raises:
        TimeoutError: none of them accepted the connection in time.
    """
    until = time.monotonic() + within_s
    with socket.create_connection(("127.0.0.1", port), within_s) as connection:
        ours = connection.getsockname()[1]
        while time.monotonic() < until:
            inode = _inode(port, ours)
            for pid in pids:
                if inode in sockets(pid):
                    return pid
            time.sleep(0.01)  # the kernel has no event for an accepted connection
    raise TimeoutError(f"no process accepts connections to port {port}")


def _inode(local_port: int, remote_port: int) -> str:
    """Return the inode of a connection's socket at its server, "" before it is accepted."""
    for table in _TABLES:
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                ports = [int(address.rpartition(":")[2], 16) for address in fields[1:3]]
                if ports == [local_port, remote_port] and fields[9] != "0":
                    return fields[9]
    return ""
