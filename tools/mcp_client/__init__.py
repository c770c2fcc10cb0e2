"""The tools of MCP servers that the operator names. Only tool sets that an operator has accepted are used."""
