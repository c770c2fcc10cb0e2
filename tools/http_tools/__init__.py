"""Tools that call operations of HTTP APIs, made from OpenAPI documents that the operator names."""
