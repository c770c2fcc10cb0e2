"""The ways on which messages come and go."""
