"""Full-text search in the tables of the service: words in FTS5 of SQLite, or in `tsvector` columns of PostgreSQL."""
