"""Who calls, as far as the proxy knows, and what it may do. Pure values."""

import re
from dataclasses import dataclass
from datetime import datetime

from discordproxy_api.calls.scopes import Scopes

APP_NAME = re.compile(r"[A-Za-z0-9._:@/+-]{1,64}")
DEFAULT_APP = "default"
STRANGER = "(unauthenticated)"  # no application can have this name
"""Name in metrics and logs of callers that are not let in: what they call themselves counts for nothing."""

EVERYTHING = Scopes()


@dataclass(frozen=True, slots=True)
class Principal:
    """An application.

    Attributes:
        app: its name; shares of the limits and metrics go by it.
        key: names its key in logs without telling it; "" without a key.
        share: weight among the applications that wait for the same limit.
        calls_per_s: rate of its calls, None for no bound of its own.
        bot: which bot serves it; "" for the first.
        status: whether it may see metrics and status page.
        expires_at: end of the key, None for never.
    """

    app: str = DEFAULT_APP
    key: str = ""
    scopes: Scopes = EVERYTHING
    share: float = 1.0
    calls_per_s: float | None = None
    bot: str = ""
    status: bool = True
    expires_at: datetime | None = None

    def __str__(self) -> str:
        """Return the form of texts and logs."""
        return f"{self.app} (key {self.key})" if self.key else self.app


ANYBODY = Principal()
"""A caller that nobody has asked who it is."""
