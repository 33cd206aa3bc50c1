"""Separation of the sounding object of a session into its sources, as a job."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from auralsam2.errors import UsageError
from auralsam2.inference.sources import name_objects, separate_sources
from auralsam2.inference.video_session import VideoSession
from auralsam2.modeling.object_namer import ObjectNamer
from auralsam2.studio.added_objects import ObjectCollector
from auralsam2.studio.commands import SeparateCommand
from auralsam2.studio.jobs import StepJob
from auralsam2.studio.session_state import SessionState
from auralsam2.studio.stored_masks import StoredMasks
from auralsam2.types import Segmentation

_MIN_NAME_SCORE = 0.5
"""Probability of a category from which an object gets its name."""


class SeparationJob(StepJob):
    """Separation of the stored masks of an object by `sources.separate_sources`, one mask of a source at a step.

    The last step adds an object for each source that is visible somewhere, if there are two or more. Their masks are in
    a temporary file until then.

    Args:
        session: provides the features of the frames.
        state: state of the session.
        command: names the object.
        namer: names the sources; None for default names.
        publish: sends messages to the page.

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
        super().__init__(len(self._ticks))
        self._steps = self._run()

    def step(self) -> tuple[bool, Segmentation | None]:
        """Do one step; returns whether the separation is finished."""
        return next(self._steps, self) is self, None

    def is_current(self, segmentation: Segmentation) -> bool:
        """Return true; the job yields no masks before its end."""
        return True

    def _run(self) -> Iterator[None]:
        state, number = self._state, self._command.object
        masks = StoredMasks(folder=state.folder, clip=state.clip, threshold=state.threshold, score=state.score)

        def stored() -> Iterator[Segmentation]:
            for done, tick in enumerate(self._ticks):
                self._done = done
                segmentation = masks.segmentation(number, tick)
                if segmentation is not None:
                    yield segmentation

        parts = separate_sources(self._session, stored())
        if self._namer is not None:
            parts = name_objects(self._session, parts, self._namer)
        with ObjectCollector(state) as sources:
            for part in parts:
                sources.add(
                    part.object_id,
                    part.index,
                    part.mask,
                    part.logits + np.float32(state.threshold),
                    iou=part.iou,
                    object_score=part.object_score,
                    sounding=part.sounding,
                )
                if part.label is not None and part.label_score is not None:
                    sources.name(part.object_id, part.label if part.label_score >= _MIN_NAME_SCORE else "")
                yield
            if number in self.changed | self.removed:
                raise UsageError("the object was changed meanwhile: separate its sources again")
            if len(sources) < 2:
                self._publish({"is": "note", "text": "No second source can be told apart here."})
            else:
                sources.store(SeparateCommand, self._ticks, do="separate", object=number)
