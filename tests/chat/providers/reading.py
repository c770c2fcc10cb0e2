"""Read a whole answer with a provider's reader, for tests that cut the same bytes in different places."""
