"""Hostile HTTP/1.1 requests as bytes: smuggling, targets, headers, bodies. None of them may reach Discord."""

import gzip
import random
from collections.abc import Iterator
from dataclasses import dataclass

MIB = 1024 * 1024
MAX_BODY = 32 * MIB


@dataclass(frozen=True)
class HostileRequest:
    """One request.

    Attributes:
        statuses: of the answer; 0 for a connection that is closed without one.
        only_without_keys: it is refused only if no key is required.
    """

    name: str
    data: bytes
    statuses: tuple[int, ...] = (400,)
    only_without_keys: bool = False


def hostile_requests(path: str, authorization: str, secret: str) -> Iterator[HostileRequest]:
    """Yield the requests; apart from their fault, each would send a message.

    Args:
        path: of a channel's messages.
        authorization: a valid one, so that only the fault is a reason to refuse a request.
        secret: a text in headers, targets and bodies, to be searched for.
    """
    forms = _Forms(path, f"Authorization: {authorization}\r\nX-Secret: {secret}\r\n", secret)
    yield from _framing(forms)
    yield from _header_lines(forms)
    yield from _targets(forms)
    yield from _sizes(forms)
    yield from _callers(forms)


@dataclass(frozen=True)
class _Forms:
    path: str
    headers: str
    secret: str

    @property
    def body(self) -> bytes:
        return b'{"content":"%b"}' % self.secret.encode()

    @property
    def smuggled(self) -> bytes:
        """A whole valid request, to be hidden in another one."""
        return self.request(f"Content-Length: {len(self.body)}\r\n", self.body)

    def request(
        self,
        lines: str = "",
        body: bytes = b"",
        *,
        start: str = "",
        host: str = "Host: localhost\r\n",
        headers: str | None = None,
    ) -> bytes:
        """Return a request for a message whose faulty part is given."""
        head = f"{start or f'POST {self.path} HTTP/1.1'}\r\n{host}{self.headers if headers is None else headers}"
        return f"{head}Content-Type: application/json\r\n{lines}\r\n".encode("latin-1") + body

    def whole(self, lines: str = "", *, start: str = "", host: str = "Host: localhost\r\n") -> bytes:
        """Return a request with a valid body."""
        return self.request(f"{lines}Content-Length: {len(self.body)}\r\n", self.body, start=start, host=host)

    def chunked(self, chunks: bytes, coding: str = "chunked") -> bytes:
        """Return a request with a body in chunks."""
        return self.request(f"Transfer-Encoding: {coding}\r\n", chunks)

    def target(self, target: str) -> bytes:
        """Return a request for another target."""
        return self.whole(start=f"POST {target} HTTP/1.1")


def _framing(forms: _Forms) -> Iterator[HostileRequest]:
    """Lengths that servers understand differently."""
    body, size = forms.body, len(forms.body)
    chunk = b"%x\r\n%b\r\n" % (size, body)
    for other in (size, size + 1, 0):
        data = forms.request(f"Content-Length: {size}\r\nContent-Length: {other}\r\n", body)
        yield HostileRequest(f"lengths {size} and {other}", data)
    both = forms.request(f"Content-Length: {size}\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + forms.smuggled)
    yield HostileRequest("length and chunks", both)
    for coding in ("chunked, identity", "xchunked", "\x0bchunked", "chunked\r\nTransfer-Encoding: identity", "gzip"):
        yield HostileRequest(f"coding {coding!r}", forms.chunked(chunk + b"0\r\n\r\n" + forms.smuggled, coding))
    for length in ("-1", "+2", "0x2", "2 3", "2,2", "99999999999999999999", ""):
        yield HostileRequest(f"length {length!r}", forms.request(f"Content-Length: {length}\r\n", body), (400, 413))
    for start in (b"10000000000000000", b"-1", b"+1", b"0x2", b"zz", b" 2", b"2\n", b"2 ;a=b\nc", b"2;a=\nb", b""):
        data = forms.chunked(start + b"\r\n{}\r\n0\r\n\r\n" + forms.smuggled)
        yield HostileRequest(f"chunk of size {start!r}", data)
    yield HostileRequest("chunk that ends late", forms.chunked(b"2\r\n{}xx\r\n0\r\n\r\n" + forms.smuggled))
    old = forms.request("Transfer-Encoding: chunked\r\n", chunk + b"0\r\n\r\n", start=f"POST {forms.path} HTTP/1.0")
    yield HostileRequest("chunks in HTTP/1.0", old)
    yield HostileRequest("chunk with line feeds", forms.chunked(b"2\n{}\n0\n\n" + forms.smuggled))


def _header_lines(forms: _Forms) -> Iterator[HostileRequest]:
    """Header lines that servers understand differently."""
    for name, line in {
        "carriage return in a value": "X-A: b\rTransfer-Encoding: chunked\r\n",
        "NUL in a value": "X-A: b\0c\r\n",
        "control character in a name": "X\x01A: b\r\n",
        "blank before the colon": "X-A : b\r\n",
        "continued line": "X-A: b\r\n Transfer-Encoding: chunked\r\n",
        "line without a colon": "nonsense\r\n",
        "no name": ": b\r\n",
        "NUL in the reason": "X-Audit-Log-Reason: a\0b\r\n",
        "two reasons": "X-Audit-Log-Reason: a\r\nX-Audit-Log-Reason: b\r\n",
        "two types": "Content-Type: text/plain\r\n",
        "two credentials": "Authorization: Bot x\r\n",
        "two hosts": "Host: discord.com\r\n",
    }.items():
        yield HostileRequest(name, forms.whole(line))
    yield HostileRequest("lines that end in line feeds", forms.whole().replace(b"\r\n", b"\n"))
    yield HostileRequest("blank line first", b"\r\n \r\n" + forms.whole())
    yield HostileRequest("unknown encoding", forms.whole("Content-Encoding: br\r\n"))
    yield HostileRequest("damaged gzip", forms.whole("Content-Encoding: gzip\r\n"))


def _targets(forms: _Forms) -> Iterator[HostileRequest]:
    """Targets that lead elsewhere, and other protocols."""
    base, secret = forms.path, forms.secret
    for target in (
        *(f"http://discord.com{base}", f"https://evil.example{base}", f"//evil.example{base}", f"evil.example{base}"),
        *(
            f"{base}/../../../..",
            f"{base}/%2e%2e/x",
            f"{base}/%2E./x",
            f"{base}/..%2fx",
            f"{base}/a%2Fb",
            f"/x/.{base}",
        ),
        *(f"{base}\\..\\x", f"{base}%5c..%5cx", f"{base}//", f"{base}%00", f"{base}%0d%0aX-A:%20b", f"{base}/%zz"),
        *(f"{base}?a=<b>", f"{base}#fragment", f"/evil=x{base}", f"/key=a/key=b{base}"),
        *(
            f"/wait=nan{base}",
            f"/wait=1e9{base}",
            f"{base}?{secret}\x80",
            f"/api/v8{base.removeprefix('/api/v10')}",
            "*",
        ),
    ):
        yield HostileRequest(f"target {target!r}", forms.target(target))
    yield HostileRequest("unknown bot", forms.target(f"/bot=..{base}"))
    connect = b"CONNECT discord.com:443 HTTP/1.1\r\nHost: discord.com:443\r\n\r\n" + forms.smuggled
    yield HostileRequest("CONNECT", connect, (405, 400))
    for start in ("TRACE", "OPTIONS", "HEAD", "PROPFIND", "post", "POST POST"):
        yield HostileRequest(f"method {start}", forms.whole(start=f"{start} {base} HTTP/1.1"), (400, 405))
    for version in ("HTTP/2.0", "HTTP/0.9", "HTTP/1.1 x", "HTTP/11", "XTTP/1.1", ""):
        yield HostileRequest(f"version {version!r}", forms.whole(start=f"POST {base} {version}"), (400, 405, 505))
    yield HostileRequest("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + forms.smuggled)


def _sizes(forms: _Forms) -> Iterator[HostileRequest]:
    """Heads and bodies that are too large."""
    long = "x" * 20_000
    yield HostileRequest("long value", forms.whole(f"X-Long: {long}\r\n"), (400, 431))
    yield HostileRequest("long name", forms.whole(f"{long}: x\r\n"), (400, 431))
    yield HostileRequest("many headers", forms.whole("".join(f"X-{n}: y\r\n" for n in range(500))), (400, 431))
    yield HostileRequest("long target", forms.target(f"{forms.path}?{long}"), (400, 414))
    yield HostileRequest("32 MiB and one byte, announced", forms.request(f"Content-Length: {MAX_BODY + 1}\r\n"), (413,))
    expecting = forms.request(f"Expect: 100-continue\r\nContent-Length: {MAX_BODY + 1}\r\n")
    yield HostileRequest("32 MiB and one byte, expected", expecting, (413,))
    piece = b"100000\r\n" + bytes(MIB) + b"\r\n"
    yield HostileRequest("32 MiB and one byte in chunks", forms.chunked(piece * 32 + b"1\r\nx\r\n0\r\n\r\n"), (413,))
    bomb = gzip.compress(bytes(MAX_BODY + 1))
    packed = forms.request(f"Content-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n", bomb)
    yield HostileRequest("32 MiB and one byte in gzip", packed, (413,))


def _callers(forms: _Forms) -> Iterator[HostileRequest]:
    """Callers that have no business here."""
    wrong = f"Authorization: Bot {forms.secret}\r\n"
    hidden = forms.request(f"Content-Length: {len(forms.smuggled)}\r\n", forms.smuggled, headers=wrong)
    yield HostileRequest("a request in the body of a refused one", hidden, (401,))
    for line in ("Origin: https://evil.example\r\n", "Origin: null\r\n", "Sec-Fetch-Site: cross-site\r\n"):
        yield HostileRequest(f"web site, {line.strip()}", forms.whole(line), (403,), only_without_keys=True)
    for host in ("evil.example", "localhost.evil.example", "evil.example:50052", "discord.com", ""):
        data = forms.whole(host=f"Host: {host}\r\n")
        yield HostileRequest(f"host {host!r}", data, (400, 403), only_without_keys=True)


def shuffled(requests: list[HostileRequest], rng: random.Random) -> list[bytes]:
    """Return the requests in random order, some of them cut off or followed by random bytes."""
    mixed = []
    for each in rng.sample(requests, len(requests)):
        end = rng.randrange(1, len(each.data)) if rng.random() < 0.3 else len(each.data)
        mixed.append(each.data[:end] + (rng.randbytes(50) if rng.random() < 0.3 else b""))
    return mixed
