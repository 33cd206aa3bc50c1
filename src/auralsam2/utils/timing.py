"""Wall time per stage of the pipeline."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

STAGES = ("decode", "encoder", "fuser", "decoder", "memory", "write")
"""decode: video and audio to tensors; encoder, fuser, decoder, memory: calls of the network; write: results to files.
decode and write run in threads of their own, beside the network."""


class StageTimer:
    """Accumulates wall time by stage; thread-safe."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = dict.fromkeys(STAGES, 0.0)
        self._lock = threading.Lock()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of a block to a stage."""
        began = time.perf_counter()
        try:
            yield
        finally:
            took = time.perf_counter() - began
            with self._lock:
                self.seconds[name] += took

    @property
    def network(self) -> float:
        """Seconds in calls of the network."""
        return sum(self.seconds[name] for name in ("encoder", "fuser", "decoder", "memory"))
