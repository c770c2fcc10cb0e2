"""Hosts of git repositories: what is allowed of them, their APIs, and transfers from and to them."""
