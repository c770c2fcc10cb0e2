"""The API of the AI SDK's `useChat`: the same runs as UI message streams."""
