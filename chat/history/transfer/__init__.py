"""Sessions as records that can leave the service and come back."""
