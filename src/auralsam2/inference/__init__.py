"""The room `tracker`."""
