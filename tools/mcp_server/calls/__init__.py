"""The calls of clients: what runs them, and the questions that they wait for."""
