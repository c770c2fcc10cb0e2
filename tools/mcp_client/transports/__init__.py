"""The transports to MCP servers: HTTP, and the standard input and output of a program in the sandbox."""
