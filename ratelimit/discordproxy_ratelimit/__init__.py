"""The rate-limit broker: any number of workers look to Discord like one perfectly paced client."""
