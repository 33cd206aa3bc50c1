"""Data sets: published trees read as they are, one sample type for all of them."""

from auralsam2.data.registry import NAMES, open_dataset

__all__ = ["NAMES", "open_dataset"]
