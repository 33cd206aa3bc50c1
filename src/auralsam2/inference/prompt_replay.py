"""Prompted frames of single objects of a session, decoded when they are needed: for sessions restored from a log."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from auralsam2.inference.exclusive_access import exclusive
from auralsam2.inference.feature_prompts import Condition
from auralsam2.inference.object_state import MaskPrediction, ObjectState
from auralsam2.inference.propagation import Direction
from auralsam2.inference.video_session import VideoSession
from auralsam2.modeling.prompt_encoder import VisualPrompts
from auralsam2.types import Segmentation

_SCRATCH = -1
"""Number of the object that replays a frame; the registry accepts no negative numbers."""
_versions = itertools.count(-1, -1)
"""Versions of replayed states, distinct from those of the registry."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """Visual prompts of one round on a frame.

    Attributes:
        visual: the prompts, on the model's square.
        corrected: mask that clicks correct if they are the first prompts of the frame, or None.
    """

    visual: VisualPrompts
    corrected: MaskPrediction | None = None


Step = Condition | Round | None
"""Change of an object, as seen from one frame: a new condition, a round of prompts, or None, which removes them."""


@exclusive
def decoded_frames(session: VideoSession, number: int) -> frozenset[int]:
    """Return the indices of the frames of an object whose prompts are decoded; empty without such an object."""
    objects = session._objects
    return frozenset(objects.get(number).conditioning_frames) if number in objects else frozenset()


@exclusive
def replay_frame(session: VideoSession, number: int, time: float, steps: Sequence[Step]) -> None:
    """Decode the prompts of an object on one frame from the object's history.

    Args:
        session: the session.
        number: of the object, created if missing.
        time: in seconds; selects the nearest frame.
        steps: changes of the object since its creation that concern this frame, the oldest first.

    Raises:
        UsageError: the model reads no text and a condition contains some, or a corrected mask has another size.
    """
    index = session._index(time)
    state = ObjectState(number=_SCRATCH)
    for step in steps:
        if isinstance(step, Condition):
            if step != state.condition:
                state = session._with_condition(state, step)
        elif step is None:
            state = dataclasses.replace(state.with_conditioning_frame(index, None), versions=())
        else:
            state = _prompted(session, state, index, step)
    frame = state.conditioning_frames.get(index)
    target = session._objects.get_or_new(number)
    target = dataclasses.replace(target, condition=state.condition).with_conditioning_frame(index, frame)
    if not target.empty or number in session._objects:
        session._objects.put(target)


@exclusive
def add_round(session: VideoSession, number: int, time: float, prompts: Round) -> Segmentation:
    """Prompt an object on one frame; see `VideoSession.add_points`.

    Args:
        session: the session.
        number: of the object, created if missing.
        time: in seconds; selects the nearest frame.
        prompts: the prompts, and the mask that they correct.

    Returns:
        the mask of the object on that frame.
    """
    index = session._index(time)
    state = _prompted(session, session._objects.get_or_new(number), index, prompts)
    state = session._objects.put(state)
    return session._latest_masks.show(state, index, state.conditioning_frames[index].prediction)


@exclusive
def retain_frames(
    session: VideoSession, conditions: Mapping[int, Condition], frames: Mapping[int, Collection[int]]
) -> None:
    """Forget objects and decoded frames that are no longer part of a log, for instance after an undo.

    Args:
        session: the session.
        conditions: audio and text of each remaining object.
        frames: indices of the frames of each remaining object whose decoded prompts are still valid.
    """
    objects = session._objects
    for number in objects.numbers:
        if number not in conditions:
            objects.remove(number)
            continue
        state = objects.get(number)
        kept = {index: frame for index, frame in state.conditioning_frames.items() if index in frames[number]}
        if (kept.keys(), conditions[number]) != (state.conditioning_frames.keys(), state.condition):
            # The masks of the states before are no longer the latest ones.
            objects.put(dataclasses.replace(state, condition=conditions[number], conditioning_frames=kept, versions=()))


@exclusive
def propagate_objects(
    session: VideoSession, numbers: Collection[int], start: float | None, direction: Direction
) -> Iterator[Segmentation]:
    """Propagate some objects; see `VideoSession.propagate`.

    Raises:
        UsageError: there is no such object.
    """
    states = [session._state(number) for number in sorted(numbers)]
    return session._propagation.propagate(states, None if start is None else session._index(start), direction)


@exclusive
def map_round(
    session: VideoSession,
    time: float,
    *,
    points: Sequence[tuple[float, float]] = (),
    labels: Sequence[int] = (),
    box: tuple[float, float, float, float] | None = None,
    mask: np.ndarray | None = None,
) -> VisualPrompts:
    """Map the prompts of one frame to the model's square; see `VideoSession.add_points` and `VideoSession.add_mask`."""
    mapper = session._prompt_mapper
    return mapper.points(points, labels, time, box) if mask is None else mapper.mask(mask, time)


def _prompted(session: VideoSession, state: ObjectState, index: int, prompts: Round) -> ObjectState:
    """Return the state after one more round on a frame."""
    if index not in state.conditioning_frames:
        if prompts.corrected is None:
            state = dataclasses.replace(state, versions=())
        else:
            state = dataclasses.replace(state, versions=(next(_versions), *state.versions))
            session._latest_masks.show(state, index, prompts.corrected)
    return session._prompt_applier.apply_prompts(state, index, prompts.visual)
