"""How clients reach the proxy: channels, configuration, repeats."""
