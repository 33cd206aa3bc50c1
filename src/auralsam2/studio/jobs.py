"""Propagation and export jobs of a session."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from auralsam2.errors import AuralError
from auralsam2.inference.prompt_replay import propagate_objects
from auralsam2.inference.propagation import Direction
from auralsam2.studio.commands import PropagateCommand
from auralsam2.studio.exports import ExportOrder, write_export
from auralsam2.studio.session_replay import SessionReplay
from auralsam2.studio.session_state import SessionState
from auralsam2.studio.storage import public_message
from auralsam2.types import Segmentation

_PERIOD = 0.25
"""Seconds between two progress messages."""


class StepJob:
    """Job of a session in steps.

    Args:
        total: number of steps.

    Attributes:
        complete: objects that get a mask on every frame.
        changed: objects whose prompts have changed since the start.
        outdated: (object, frame) pairs whose prompts have changed since the start; their masks are ignored.
        removed: objects that were removed since the start; their masks are ignored.
    """

    def __init__(self, total: int) -> None:
        self.complete: set[int] = set()
        self.changed: set[int] = set()
        self.outdated: set[tuple[int, int]] = set()
        self.removed: set[int] = set()
        self._total = total
        self._done = 0
        self._started = time.monotonic()
        self._last_report = 0.0

    @property
    def progress(self) -> dict[str, Any]:
        """Progress message with the estimated remaining seconds, None before the first step."""
        eta = remaining_seconds(self._started, self._done, self._total)
        return {"what": "run", "done": self._done, "total": self._total, "eta": eta}

    @property
    def report_due(self) -> bool:
        """True if the last progress message is older than `_PERIOD`; resets the timer."""
        now = time.monotonic()
        due = now - self._last_report >= _PERIOD
        if due:
            self._last_report = now
        return due


class PropagationJob(StepJob):
    """Propagation of objects, one mask at a time; prompts that are not decoded yet are decoded first.

    Args:
        replay: session of the objects.
        state: its state.
        command: objects, frames and direction; the objects exist, and the frames lie in the clip.
    """

    def __init__(self, replay: SessionReplay, state: SessionState, command: PropagateCommand) -> None:
        self._replay, self._state, self._command = replay, state, command
        self._numbers = sorted(command.objects or state.objects)
        ticks = len(state.clip.times)
        self._first = command.first or 0
        self._last = ticks - 1 if command.last is None else command.last
        begin = self._start() if command.direction != "backward" else self._last
        covers = (self._first, self._last) == (0, ticks - 1) and (
            command.direction == "both" or begin == (0 if command.direction == "forward" else ticks - 1)
        )
        first = begin if command.direction == "forward" else self._first
        super().__init__(replay.pending(self._numbers) + len(self._numbers) * (self._last - first + 1))
        self.complete = set(self._numbers) if covers else set()
        self._steps = self._run(begin)

    def step(self) -> tuple[bool, Segmentation | None]:
        """Do one step; returns whether the propagation is finished, and the mask if the step has one."""
        try:
            segmentation = next(self._steps)
        except StopIteration:
            return True, None
        self._done += 1
        return False, segmentation

    def _start(self) -> int:
        """Return the frame at which a forward propagation starts: `first`, or the first prompted frame."""
        prompted = [set(self._state.objects[number].prompts) for number in self._numbers]
        if self._command.direction == "forward" and self._command.first is not None:
            return self._first
        inside = [tick for ticks in prompted for tick in ticks if self._first <= tick <= self._last]
        return min(inside) if inside and all(prompted) else self._first

    def _run(self, begin: int) -> Iterator[Segmentation | None]:
        for number in self._numbers:
            while self._replay.pending([number]):
                next(self._replay.decode(number), None)
                yield None
            for _ in self._replay.decode(number):
                yield None
        instant = self._state.clip.instant
        if self._command.direction != "backward":
            for segmentation in self._propagate(instant(begin), "forward"):
                if segmentation.index > self._last:
                    break
                yield segmentation
        if self._command.direction != "forward":
            start = begin if self._command.direction == "backward" else begin - 1
            if start >= self._first:
                for segmentation in self._propagate(instant(start), "backward"):
                    if segmentation.index < self._first:
                        break
                    yield segmentation

    def _propagate(self, start: float, direction: Direction) -> Iterator[Segmentation]:
        numbers = self._state.objects.keys() & set(self._numbers)
        if not numbers:
            return iter(())
        return propagate_objects(self._replay.session, numbers, start, direction)

    def is_current(self, segmentation: Segmentation) -> bool:
        """Return whether a mask is still valid for its prompts."""
        number = segmentation.object_id
        return number not in self.removed and (number, segmentation.index) not in self.outdated


def remaining_seconds(started: float, done: int, total: int) -> float | None:
    """Return the estimated remaining time of a job, None before its first step.

    Args:
        started: time of its start, by `time.monotonic`.
        done: number of completed steps.
        total: number of all steps.
    """
    if not done:
        return None
    return round((time.monotonic() - started) / done * max(0, total - done), 1)


_log = logging.getLogger(__name__)


class _CancelledError(Exception):
    """Cancellation by the user."""


class ExportJob:
    """Export in a background thread.

    Args:
        order: export to write.
        publish: sends messages to the page, callable from any thread.

    Attributes:
        progress: progress message with the estimated remaining seconds.
        running: whether the export is running; False before the message about its end is published.
    """

    def __init__(self, order: ExportOrder, publish: Callable[[dict[str, Any]], None]) -> None:
        self._order, self._publish = order, publish
        self._stop = threading.Event()
        self._started = self._last_report = time.monotonic()
        self.progress: dict[str, Any] = {"what": "export", "kind": order.kind, "done": 0, "total": None, "eta": None}
        self.running = True
        self._thread = threading.Thread(target=self._write, name=f"export-{order.kind}", daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """Stop at the next step."""
        self._stop.set()

    def join(self) -> None:
        """Wait for the end of the thread."""
        self._thread.join()

    def _write(self) -> None:
        outcome = self._outcome()
        self.running = False
        self._publish({"what": "export", "kind": self._order.kind} | outcome)

    def _outcome(self) -> dict[str, str]:
        """Write the export; returns how it ended."""
        try:
            write_export(self._order, self._advance)
        except _CancelledError:
            return {"is": "cancelled"}
        except AuralError as error:
            return {"is": "cancelled", "error": public_message(error, self._order.folder, self._order.name)}
        except Exception:
            _log.exception("export of %s", self._order.kind)
            return {"is": "cancelled", "error": "the export failed: see the server's log"}
        return {"is": "done"}

    def _advance(self, done: int, total: int) -> None:
        if self._stop.is_set():
            raise _CancelledError
        now = time.monotonic()
        eta = remaining_seconds(self._started, done, total)
        self.progress = self.progress | {"done": done, "total": total, "eta": eta}
        if now - self._last_report >= _PERIOD:
            self._last_report = now
            self._publish({"is": "progress"} | self.progress)
