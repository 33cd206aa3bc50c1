"""The room `outputs`."""
