"""The API of Open Responses: the same runs as typed items."""
