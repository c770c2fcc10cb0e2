"""The common part of the WebSocket APIs: authentication, refusals, and a bounded number of messages in process."""
