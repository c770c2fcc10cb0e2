"""Moving all that is stored from SQLite to PostgreSQL: see `copying`."""
