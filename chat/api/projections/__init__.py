"""The parts that the APIs of other protocols share."""
