"""Status of workers, gateway and limits, the checks of `discordproxy doctor`, the status page."""
