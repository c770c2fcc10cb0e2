"""Vectors from a service with OpenAI's embeddings API, which an operator names."""
