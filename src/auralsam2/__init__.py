"""auralsam2: SAM 2 that hears."""

from auralsam2.version import __version__

__all__ = ["__version__"]
