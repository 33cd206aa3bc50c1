"""The room `apps`."""
