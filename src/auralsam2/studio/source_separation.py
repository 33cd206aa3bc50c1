"""Separation of the sounding object of a session into its sources, as a job."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from auralsam2.errors import UsageError
from auralsam2.inference.sources import name_objects, separate_sources
from auralsam2.inference.video_session import VideoSession
from auralsam2.modeling.object_namer import ObjectNamer
from auralsam2.studio import mask_codec
from auralsam2.studio.brush_png import write_png
from auralsam2.studio.commands import MAX_OBJECTS, SeparateCommand
from auralsam2.studio.jobs import remaining_seconds
from auralsam2.studio.session_state import SessionState
from auralsam2.studio.stored_masks import StoredMasks
from auralsam2.types import Segmentation

_MIN_NAME_SCORE = 0.5
"""Probability of a category from which an object gets its name."""
_PERIOD = 0.25
_EMPTY_SIDE = 16
"""Rows and columns of the masks of frames before a source sounds for the first time."""


@dataclass(slots=True)
class _Source:
    """A source: its first visible frame with the mask as PNG, and its latest name."""

    tick: int
    png: str
    name: str = ""


class SeparationJob:
    """Separation of the stored masks of an object by `sources.separate_sources`, one mask of a source at a step.

    The last step adds an object for each source that is visible somewhere, if there are two or more. Their masks are in
    a temporary file until then.

    Args:
        session: provides the features of the frames.
        state: state of the session.
        command: names the object.
        namer: names the sources; None for default names.
        publish: sends messages to the page.

    Attributes:
        complete, changed, outdated, removed: as in `PropagationJob`.

    Raises:
        UsageError: there is no such object, or it has no masks.
    """

    def __init__(
        self,
        session: VideoSession,
        state: SessionState,
        command: SeparateCommand,
        namer: ObjectNamer | None,
        publish: Callable[[dict[str, Any]], None],
    ) -> None:
        if command.object not in state.objects:
            raise UsageError(f"no object {command.object}: it was removed")
        self._session, self._state, self._command, self._namer = session, state, command, namer
        self._publish = publish
        self._ticks = sorted(state.marks[command.object])
        if not any(state.marks[command.object].values()):
            raise UsageError("nothing sounds in the masks of this object: press Listen first")
        self.complete: set[int] = set()
        self.changed: set[int] = set()
        self.outdated: set[tuple[int, int]] = set()
        self.removed: set[int] = set()
        self._done = 0
        self._started = time.monotonic()
        self._last_report = 0.0
        self._steps = self._run()

    def step(self) -> tuple[bool, Segmentation | None]:
        """Do one step; returns whether the separation is finished."""
        return next(self._steps, self) is self, None

    def is_current(self, segmentation: Segmentation) -> bool:
        """Return true; the job yields no masks before its end."""
        return True

    @property
    def progress(self) -> dict[str, Any]:
        """Progress message, as that of a propagation."""
        eta = remaining_seconds(self._started, self._done, len(self._ticks))
        return {"what": "run", "done": self._done, "total": len(self._ticks), "eta": eta}

    @property
    def report_due(self) -> bool:
        """True if the last progress message is old; resets the timer."""
        now = time.monotonic()
        due = now - self._last_report >= _PERIOD
        if due:
            self._last_report = now
        return due

    def _run(self) -> Iterator[None]:
        state = self._state
        masks = StoredMasks(folder=state.folder, clip=state.clip, threshold=state.threshold, score=state.score)
        sources: dict[int, _Source] = {}
        places: list[tuple[int, int, int, bool]] = []  # source, tick, bytes, whether it sounds

        def stored() -> Iterator[Segmentation]:
            for done, tick in enumerate(self._ticks):
                self._done = done
                segmentation = masks.segmentation(self._command.object, tick)
                if segmentation is not None:
                    yield segmentation

        parts = separate_sources(self._session, stored())
        if self._namer is not None:
            parts = name_objects(self._session, parts, self._namer)
        with tempfile.TemporaryFile() as file:
            for part in parts:
                number = part.object_id
                if part.mask.any() and number not in sources:
                    sources[number] = _Source(part.index, write_png(part.mask))
                if part.label is not None and number in sources:
                    sources[number].name = part.label if (part.label_score or 0.0) >= _MIN_NAME_SCORE else ""
                data = mask_codec.pack_mask(
                    part.logits + np.float32(state.threshold),
                    object_id=number,
                    tick=part.index,
                    iou=part.iou,
                    object_score=part.object_score,
                    sounding=part.sounding,
                )
                file.write(data)
                places.append((number, part.index, len(data), part.sounding))
                yield
            numbers = self._add_objects(sources)
            for source, number in numbers.items():
                present = {tick for other, tick, *_ in places if other == source}
                for tick in sorted(set(self._ticks) - present):
                    state.store_mask(number, tick, _empty_mask(number, tick), sounding=False)
            file.seek(0)
            for source, tick, length, sounding in places:
                data = file.read(length)
                if source in numbers:
                    data = mask_codec.renumbered(data, numbers[source])
                    state.store_mask(numbers[source], tick, data, sounding=sounding)

    def _add_objects(self, sources: dict[int, _Source]) -> dict[int, int]:
        """Log the new objects; returns their numbers by source, none for fewer than two sources."""
        state, number = self._state, self._command.object
        if number in self.changed | self.removed:
            raise UsageError("the object was changed meanwhile: separate its sources again")
        if len(sources) < 2:
            self._publish({"is": "note", "text": "No second source can be told apart here."})
            return {}
        first = state.new_number()
        if first + len(sources) > MAX_OBJECTS:
            raise UsageError(f"there are {len(sources)} sources: a session has at most {MAX_OBJECTS} objects")
        made = tuple(range(first, first + len(sources)))
        chosen = sources.values()
        state.add(
            SeparateCommand(
                do="separate",
                object=number,
                made=made,
                ticks=tuple(source.tick for source in chosen),
                masks=tuple(source.png for source in chosen),
                names=tuple(source.name for source in chosen),
            )
        )
        return dict(zip(sources, made, strict=True))


def _empty_mask(number: int, tick: int) -> bytes:
    logits = np.full((_EMPTY_SIDE, _EMPTY_SIDE), -mask_codec.MAX_LOGIT, np.float32)
    return mask_codec.pack_mask(logits, object_id=number, tick=tick, iou=0.0, object_score=-mask_codec.MAX_LOGIT)
