"""The project's description for the package index: README.md with complete links."""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_RELATIVE_LINK = re.compile(r"\]\((?!https?:|#)")


class ReadmeHook(MetadataHookInterface):
    """Lets the relative links of the README lead to the repository."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the field `readme`."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        files = f"{metadata['urls']['Homepage']}/blob/main/"
        metadata["readme"] = {"content-type": "text/markdown", "text": _RELATIVE_LINK.sub(f"]({files}", text)}
