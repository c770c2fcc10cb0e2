"""The decisions of both clients: pure, without I/O."""
