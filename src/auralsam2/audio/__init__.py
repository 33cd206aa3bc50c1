"""The room `audio`."""
