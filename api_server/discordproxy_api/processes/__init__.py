"""What `discordproxyserver` starts, watches and ends: one module per duty, wired in `launch`."""
