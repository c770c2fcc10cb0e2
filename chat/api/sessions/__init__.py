"""Sessions as a whole: forked, exported and imported."""
