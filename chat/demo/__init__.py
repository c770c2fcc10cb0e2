"""A believable week of a small team, for a fresh database: its content, a plan with times, and the rows."""
