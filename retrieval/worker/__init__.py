"""The process that reads files for an index. Content from outside is parsed only there."""
