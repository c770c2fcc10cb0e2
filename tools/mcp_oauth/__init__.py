"""OAuth 2.1 for MCP servers: each owner lets the service use a server with their own account."""
