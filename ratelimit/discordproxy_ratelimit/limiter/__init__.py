"""One worker's part of the shared rate limits: queues, permits and the script calls behind them."""
