"""The service's first tenth as one writes it with Django: its ORM as it comes, the openai SDK, a streaming response.

It stores what the service stores of a turn (a session, a run, two messages), but no event; it runs no tools, and lets
nobody come back to a stream.
"""
