"""Hosts of git repositories: which are allowed, their APIs, and transfers from and to them."""
