"""A plain Django service: the ORM as it is, the openai SDK, a streaming response.

It stores the rows of a turn (a session, a run, two messages), but no events. It has no tools, and streams cannot be
resumed.
"""
