"""The WebSocket API of speech: its consumer, its messages, live transcription, and spoken answers."""
