"""Indexes in the tables of a PostgreSQL database, which several machines may share."""
