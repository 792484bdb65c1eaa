"""Certificate files of a test authority."""

from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import grpc
import trustme


@dataclass(frozen=True)
class Pair:
    """A certificate with its chain, and its key."""

    cert: Path
    key: Path


class Authority:
    """Issues certificates into a folder."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._authority = trustme.CA()
        self._folder = folder
        self.path = folder / f"{name}.pem"
        self._authority.cert_pem.write_to_path(self.path)

    def issue(self, name: str = "localhost", *, file: str = "", until: datetime | None = None) -> Pair:
        """Write a certificate; an existing `file` is overwritten."""
        since = datetime(2020, 1, 1, tzinfo=timezone.utc) if until else None
        issued = self._authority.issue_cert(name, common_name=name, not_before=since, not_after=until)
        pair = Pair(self._folder / f"{file or name}.cert.pem", self._folder / f"{file or name}.key.pem")
        pair.key.touch(mode=0o600)
        pair.key.write_bytes(issued.private_key_pem.bytes())
        pair.cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        return pair

    def credentials(self, own: Pair | None = None) -> grpc.ChannelCredentials:
        """Return a client's credentials: trust in this authority, and optionally a certificate of its own."""
        key, chain = (own.key.read_bytes(), own.cert.read_bytes()) if own else (None, None)
        return grpc.ssl_channel_credentials(self.path.read_bytes(), key, chain)
