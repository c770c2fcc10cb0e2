"""The WebSocket API of chat: its consumer, its messages, its commands, and the runs that a socket follows."""
