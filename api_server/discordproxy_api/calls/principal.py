"""The application that makes a call, and its scopes. Pure values."""

import re
from dataclasses import dataclass
from datetime import datetime

from discordproxy_api.calls.scopes import Scopes

APP_NAME = re.compile(r"[A-Za-z0-9._:@/+-]{1,64}")
DEFAULT_APP = "default"
UNAUTHENTICATED = "(unauthenticated)"  # no application can have this name
"""Name of rejected callers in metrics and logs. The name that they send is ignored."""

_UNRESTRICTED = Scopes()


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated application.

    Attributes:
        app: its name, in metrics and in the shares of the limits.
        key: public name of its key, for logs; "" without a key.
        share: weight relative to other applications that wait for the same limit.
        calls_per_s: maximum rate of its calls, None for no maximum.
        bot: name of the bot that serves it; "" for the first.
        status: whether it may read metrics and the status page.
        expires_at: expiry of the key, None for never.
    """

    app: str = DEFAULT_APP
    key: str = ""
    scopes: Scopes = _UNRESTRICTED
    share: float = 1.0
    calls_per_s: float | None = None
    bot: str = ""
    status: bool = True
    expires_at: datetime | None = None

    def __str__(self) -> str:
        """Return the form for error texts and logs."""
        return f"{self.app} (key {self.key})" if self.key else self.app


ANONYMOUS = Principal()
"""The principal of a call that has not been authenticated."""
