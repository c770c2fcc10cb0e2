"""The pages of the console on a large database: its rows, and the times and queries of each page."""
