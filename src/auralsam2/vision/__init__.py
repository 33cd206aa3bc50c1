"""The room `vision`."""
