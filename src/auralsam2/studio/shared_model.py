"""The model that all sessions of the Studio share."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property

from auralsam2.errors import UsageError
from auralsam2.model import AuralSAM2
from auralsam2.modeling.object_namer import ObjectNamer


@dataclass(frozen=True)
class SharedModel:
    """Model that all sessions share, used by one at a time.

    Attributes:
        model: loaded model.
        lock: lock held while the model is in use.
        memory, disk: bytes of encoded frames of one session in memory and in temporary files.
    """

    model: AuralSAM2
    lock: threading.Lock
    memory: int
    disk: int

    @cached_property
    def namer(self) -> ObjectNamer | None:
        """Namer of the model, None without one.

        Raises:
            ConfigError: it is damaged.
        """
        try:
            return self.model.namer(True)
        except UsageError:
            return None
