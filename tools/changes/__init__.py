"""The files that a run changed: their earlier content, the difference, and the way back."""
