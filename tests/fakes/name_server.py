"""A DNS server that resolves every name to the same IPv4 addresses."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_A, _INTERNET, _IS_ANSWER, _TTL_S = 1, 1, 0x8580, 60
_NAME_OF_THE_QUESTION = 0xC00C
_HEADER = struct.Struct("!6H")


def answer(query: bytes, addresses: list[str]) -> bytes:
    """Return the reply to a query with one question; names have no IPv6 addresses."""
    number = _HEADER.unpack_from(query)[0]
    end = query.index(b"\0", _HEADER.size) + 5
    question = query[_HEADER.size : end]
    found = addresses if struct.unpack("!H", question[-4:-2]) == (_A,) else []
    records = b"".join(
        struct.pack("!HHHIH", _NAME_OF_THE_QUESTION, _A, _INTERNET, _TTL_S, 4) + socket.inet_aton(address)
        for address in found
    )
    return _HEADER.pack(number, _IS_ANSWER, 1, len(found), 0, 0) + question + records


@contextmanager
def name_server(*addresses: str) -> Iterator[str]:
    """Serve until the block ends; yield the server's address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        own = server.getsockname()

        def serve() -> None:
            while (received := server.recvfrom(512))[0]:
                query, asker = received
                server.sendto(answer(query, list(addresses)), asker)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"{own[0]}:{own[1]}"
        finally:
            server.sendto(b"", own)
            thread.join()
