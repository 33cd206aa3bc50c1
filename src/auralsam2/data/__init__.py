"""Data sets: published trees read as they are, one sample type for all of them."""
