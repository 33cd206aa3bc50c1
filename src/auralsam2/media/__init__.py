"""The room `media`."""
