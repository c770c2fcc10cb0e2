"""The content of a model call: the part of a conversation, and of many tools, that fits."""
