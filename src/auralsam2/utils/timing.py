"""Where the time goes: seconds per stage of the pipeline."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

STAGES = ("decode", "encoder", "fuser", "decoder", "memory", "write")
"""decode: video and sound to tensors; encoder, fuser, decoder, memory: calls of the network; write: results to files.
decode and write run in threads of their own, beside the network."""


class StageTimer:
    """Adds up wall time by stage; safe to use from several threads."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = dict.fromkeys(STAGES, 0.0)
        self._lock = threading.Lock()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what the block takes towards a stage."""
        began = time.perf_counter()
        try:
            yield
        finally:
            took = time.perf_counter() - began
            with self._lock:
                self.seconds[name] += took

    @property
    def network(self) -> float:
        """Seconds inside calls of the network."""
        return sum(self.seconds[name] for name in ("encoder", "fuser", "decoder", "memory"))
