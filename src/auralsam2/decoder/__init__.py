"""The room `decoder`."""
