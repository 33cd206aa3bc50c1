"""Write behind: results go to their files in a thread of its own, while the network works on the next frame."""

from __future__ import annotations

import threading
from types import TracebackType

from auralsam2.clock import Clock
from auralsam2.outputs.folder import ResultFolder
from auralsam2.pipe import Pipe
from auralsam2.types import Segmentation

DEPTH = 4
"""Frames that may wait."""


class WriteBehind:
    """Hands frames to a `ResultFolder` in the background; leaving the `with` block in peace waits for the last one.

    An error of the writer is raised by the next `write`, or at the end.

    Args:
        folder: open.
        clock: its stage `write` is counted.
    """

    def __init__(self, folder: ResultFolder, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._waiting: Pipe[Segmentation | None] = Pipe(DEPTH)
        self._error: Exception | None = None
        self._gave_up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="write-behind", daemon=True)

    def __enter__(self) -> WriteBehind:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._gave_up.set()
        self._waiting.put_last(None)
        self._thread.join()
        if error is None and self._error is not None:
            raise self._error

    def write(self, segmentation: Segmentation) -> None:
        """Queue a frame; waits while too many are queued.

        Raises:
            OutputError: an earlier frame could not be written.
        """
        if self._error is not None:
            raise self._error
        self._waiting.put(segmentation)

    def _run(self) -> None:
        # Goes on taking frames after an error, so that nobody waits for room in the queue.
        while (segmentation := self._waiting.get()) is not None:
            if self._error is None and not self._gave_up.is_set():
                try:
                    with self._clock.stage("write"):
                        self._folder.write(segmentation)
                except Exception as error:  # handed to the thread that writes
                    self._error = error
