"""The room `fuser`."""
