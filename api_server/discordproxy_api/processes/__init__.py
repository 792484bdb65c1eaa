"""The processes of `discordproxyserver`: start, supervision, log and end; wired in `launch`."""
