"""Interactive segmentation of one video with prompts on any frame."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch

from auralsam2.arguments import as_number, as_seconds, as_text
from auralsam2.errors import UsageError, quoted
from auralsam2.inference.exclusive_access import exclusive, exclusive_method
from auralsam2.inference.feature_cache import DEFAULT_LIMIT, DISK_LIMIT, FeatureCache
from auralsam2.inference.feature_prompts import Condition, FeaturePromptProvider
from auralsam2.inference.frame_store import FrameStore
from auralsam2.inference.object_history import ObjectRegistry
from auralsam2.inference.object_state import Combine, MaskPrediction, Merge, ObjectState, check_merging
from auralsam2.inference.prompt_mapping import PromptMapper, from_mask
from auralsam2.inference.propagation import Direction, MultiObjectPropagation, PromptApplier, Propagator
from auralsam2.inference.results import SILENT_SO_FAR, LatestMasks, damage_notes
from auralsam2.inference.video_source import VideoSource
from auralsam2.modeling.network import AuralNetwork
from auralsam2.modeling.prompt_encoder import VisualPrompts
from auralsam2.types import MediaInfo, Prompts, Segmentation
from auralsam2.utils.timing import StageTimer

SOUNDING = 0
"""Number of the object that is prompted by audio."""
MIN_AREA = 0.002
"""Smallest area of a component that becomes an object, as a fraction of the frame."""


@exclusive_method
class VideoSession:
    """An interactive session; a context manager. A call while another thread's call runs raises a `UsageError`.

    Each frame is encoded once, when it is first needed; later prompts only run the decoder. Object 0 is the sounding
    object. `AuralSAM2.open` returns a session; the constructor is not part of the public API.

    Args:
        network: in evaluation mode.
        source: the video.
        compute: returns the context in which the network runs, without gradients.
        combine: `joint` or `ensemble`: how audio and text combine with visual prompts; see `Propagator`.
        merge: rule of an ensemble: `mean_prob`, `mean_logit`, `max_iou_score` or `union`.
        memory: limit of cached data in memory, in bytes.
        disk: limit of cached data in a temporary file, in bytes, or None; older data is computed again.
        clock: counts seconds per stage.
        prefetch: see `FrameStore`.
        batch: see `FrameStore`.

    Raises:
        InputError: the video cannot be opened.
        UsageError: `combine` or `merge` is unknown.
    """

    def __init__(
        self,
        network: AuralNetwork,
        source: VideoSource,
        compute: Callable[[], AbstractContextManager[object]] = torch.inference_mode,
        *,
        combine: Combine = "joint",
        merge: Merge = "mean_prob",
        memory: int = DEFAULT_LIMIT,
        disk: int | None = DISK_LIMIT,
        clock: StageTimer | None = None,
        prefetch: bool = False,
        batch: int | None = None,
    ) -> None:
        check_merging(combine, merge)
        self.source, self.clock = source, clock or StageTimer()
        self._network = network
        self._reads_text = network.config.fuser.modality == "audio+text"
        self._cache = FeatureCache(memory, disk)
        with_patches = source.sound is not None or self._reads_text
        self._frames = FrameStore(
            network, source, compute, self.clock, self._cache, with_patches=with_patches, prefetch=prefetch, batch=batch
        )
        self._feature_prompts = FeaturePromptProvider(network, self._frames, compute, self.clock, self._cache)
        self._propagator = Propagator(network, self._frames, self._feature_prompts, compute, self.clock, combine, merge)
        self._latest_masks = LatestMasks(network, self._frames, self._feature_prompts, self._cache)
        self._prompt_mapper = PromptMapper(source, network.image_size)
        self._prompt_applier = PromptApplier(self._propagator, self._latest_masks, network.image_size)
        self._propagation = MultiObjectPropagation(self._frames, self._propagator, self._latest_masks)
        self._objects = ObjectRegistry()

    def __enter__(self) -> VideoSession:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files and free all cached data."""
        self._frames.close()
        self._feature_prompts.close()
        self._cache.close()

    @property
    def info(self) -> MediaInfo:
        """Metadata of the video."""
        return self.source.info

    @property
    def objects(self) -> tuple[int, ...]:
        """Numbers of the current objects, ascending."""
        return self._objects.numbers

    @property
    def warnings(self) -> list[str]:
        """Notes about the part of the video that was read."""
        notes = [*damage_notes(self._frames.damage, self._feature_prompts.damage), *self._frames.notes]
        notes += [f"audio: {note}" for note in self._feature_prompts.notes if note not in notes]
        if self._feature_prompts.uses_audio and not self._feature_prompts.any_audible:
            notes.append(SILENT_SO_FAR)
        if self._cache.evicted:
            notes.append(f"more frames than fit in {self._cache.limit >> 20} MiB: some may have to be encoded again")
        return notes

    def add_points(
        self, points: Any, labels: Any, time: float | str, object_id: int = 1, *, box: Any = None
    ) -> Segmentation:
        """Prompt an object with clicks, or correct its mask.

        If the object has a latest mask on that frame, the decoder gets this mask and all clicks of the frame, as in
        SAM 2. If all clicks of the frame are negative and the object is prompted by audio or text, a positive click is
        added at the centre of the largest component of its mask that has no negative click.

        Args:
            points: (n, 2) x, y in source pixels: a sequence, an array or a tensor.
            labels: (n,) 1 for positive, 0 for negative clicks.
            time: in seconds, or text such as `1:30`; selects the nearest frame.
            object_id: number of the object; a new number creates an object.
            box: (4,) x0, y0, x1, y1 around the object, in source pixels; see `add_box`.

        Returns:
            the mask of the object on that frame.

        Raises:
            UsageError: a value lies outside the frame or the processed part, or the labels do not match the points.
        """
        return self._prompt(self._prompt_mapper.points(points, labels, time, box), time, object_id)

    def add_box(self, box: Any, time: float | str, object_id: int = 1) -> Segmentation:
        """Prompt an object with a box. The box replaces earlier prompts of the object on that frame.

        Args:
            box: (4,) x0, y0, x1, y1 in source pixels.
            time: in seconds; selects the nearest frame.
            object_id: number of the object; a new number creates an object.

        Returns:
            the mask of the object on that frame.

        Raises:
            UsageError: the box is empty, or lies outside the frame or the processed part.
        """
        return self._prompt(self._prompt_mapper.points((), (), time, box), time, object_id)

    def add_mask(self, mask: Any, time: float | str, object_id: int = 1) -> Segmentation:
        """Prompt an object with a mask. The mask replaces earlier prompts of the object on that frame.

        The mask is output unchanged and remembered, as in SAM 2; later clicks on the frame correct it.

        Args:
            mask: name of an image file, or a (H, W) array, tensor or image of Pillow of the size of the frame, in which
                non-zero pixels are the object.
            time: in seconds; selects the nearest frame.
            object_id: number of the object.

        Returns:
            the mask of the object on that frame, as given.

        Raises:
            UsageError: the time lies outside the processed part, or the mask has another size.
            InputError: the file cannot be read.
        """
        return self._prompt(self._prompt_mapper.mask(mask, time), time, object_id)

    def add(self, prompts: Prompts, object_id: int = 1) -> tuple[Segmentation, ...]:
        """Add several prompts of an object as one step of `undo`.

        The decoder gets all prompts of a frame in one call. Frames with negative clicks only are decoded last.

        Args:
            prompts: points, boxes, masks and text.
            object_id: number of the object; a new number creates an object.

        Returns:
            the masks of the object on the frames with visual prompts, in the order of time.

        Raises:
            UsageError: there are no prompts, a value lies outside the frame or the processed part, two boxes or two
                masks share a frame, or there is text and the model reads none.
            InputError: a mask file cannot be read.
        """
        if not isinstance(prompts, Prompts):
            raise UsageError(f"`prompts={quoted(prompts)}`: give `Prompts`")
        if prompts == Prompts() or prompts.objects:
            raise UsageError("no prompts: give points, boxes, masks or text of one object, without `objects`")
        state = self._objects.get_or_new(object_id)
        frames = self._prompt_mapper.by_frame(prompts, self._index)
        if prompts.text is not None:
            state = self._with_condition(state, dataclasses.replace(state.condition, text=prompts.text))
        return self._apply(state, frames)

    def hear(self, on: bool = True, *, object_id: int = SOUNDING) -> None:
        """Enable or disable audio prompts of an object.

        Raises:
            UsageError: the video has no sound.
        """
        on = bool(on)
        if on and self.source.sound is None:
            raise UsageError(f"{self.info.path}: no sound to hear: open it with audio=FILE, or point at the object")
        if on or object_id in self._objects:
            self._change_condition(object_id, lambda condition: dataclasses.replace(condition, use_audio=on))

    def say(self, text: str | None, *, object_id: int = SOUNDING) -> None:
        """Prompt an object with text; None removes the text.

        Raises:
            UsageError: the model reads no text.
        """
        text = None if text is None else as_text("text", text)
        if text is not None or object_id in self._objects:
            self._change_condition(object_id, lambda condition: dataclasses.replace(condition, text=text))

    def remove(self, object_id: int) -> None:
        """Remove an object with all its prompts; without it, raise a `UsageError`."""
        self._objects.remove(object_id)

    def clear(self, object_id: int, time: float | str) -> None:
        """Remove the visual prompts of an object on one frame; an object without any prompt is removed.

        Raises:
            UsageError: there is no such object, or it has no prompts on that frame.
        """
        state = self._state(object_id)
        index = self._index(time)
        if index not in state.conditioning_frames:
            times = ", ".join(f"{self._frames.time(prompted):g}" for prompted in state.conditioning_frames)
            raise UsageError(
                f"object {object_id} has no prompts on the frame at {time:g} s: it has some at {times or 'no frame'}"
            )
        self._objects.put(dataclasses.replace(state.with_conditioning_frame(index, None), versions=()))

    def undo(self) -> None:
        """Undo the last change of the prompts; without one, raise a `UsageError`."""
        self._objects.undo()

    def redo(self) -> None:
        """Redo the last undone change; without one, raise a `UsageError`."""
        self._objects.redo()

    def predict(self, time: float | str, object_id: int = SOUNDING) -> Segmentation:
        """Predict the mask of an object on one frame from its prompted frames, without the frames between.

        Raises:
            UsageError: there is no such object, or the time lies outside the processed part.
        """
        state = self._state(object_id)
        index = self._index(time)
        return self._latest_masks.show(state, index, self._propagator.predict_frame(state, index))

    def propagate(
        self, start: float | str | None = None, *, direction: Direction = "forward"
    ) -> Iterator[Segmentation]:
        """Propagate all objects through the video, lazily, with the prompts of the time of the call.

        Args:
            start: second of the first frame. Default: the first prompted frame, or the last one if `backward`; the
                start of the video, or its end, if an object has no visual prompts.
            direction: `forward`, `backward`, or `both`: forward to the end, then backward from the frame before the
                start.

        Yields:
            the masks of one frame after the other, sorted by object number within a frame.

        Raises:
            UsageError: there is no object, the direction is unknown, or the time lies outside the processed part.
        """
        states = self._states()
        return self._propagation.propagate(states, None if start is None else self._index(start), direction)

    def stream(self) -> Iterator[Segmentation]:
        """Propagate all objects through the whole video, lazily, in the order of time, in bounded memory.

        Frames before the first prompted one of an object are predicted backward from it before the first mask is
        yielded. Cached data of a frame is freed once its masks were yielded.

        Yields:
            the masks of one frame after the other, sorted by object number within a frame.

        Raises:
            UsageError: there is no object.
        """
        return self._propagation.stream(self._states())

    def split_components(
        self, time: float | str | None = None, *, object_id: int = SOUNDING, min_area: float = MIN_AREA
    ) -> tuple[int, ...]:
        """Create one object for each connected component of a mask that has at least two.

        Args:
            time: in seconds; None for the frame with the most components, which predicts all frames.
            object_id: number of the object with the mask; the object does not change.
            min_area: smallest area of a component, as a fraction of the frame.

        Returns:
            numbers of the new objects, sorted by descending area; empty if the mask has fewer than two components.

        Raises:
            UsageError: there is no such object, or the time lies outside the processed part.
        """
        state = self._state(object_id)
        pixels = max(1, round(as_number("min_area", min_area) * self._network.image_size**2))
        index, components = self._propagator.components(state, None if time is None else self._index(time), pixels)
        if len(components) < 2:
            return ()
        numbers = tuple(itertools.islice(itertools.count(max(self.objects) + 1), len(components)))
        self._objects.put_all(
            self._prompt_applier.apply_prompts(
                ObjectState(number=number), index, from_mask(torch.from_numpy(component), self._network.image_size)
            )
            for number, component in zip(numbers, components, strict=True)
        )
        return numbers

    def _states(self) -> list[ObjectState]:
        """All objects; at least one."""
        self._frames.check_open()
        if not self.objects:
            raise UsageError("no object: call hear(), say(), add_points(), add_box() or add_mask() first")
        return [self._objects.get(number) for number in self.objects]

    def _state(self, number: int) -> ObjectState:
        self._frames.check_open()
        return self._objects.get(number)

    def _index(self, time: float | str) -> int:
        self._frames.check_open()
        self._prompt_mapper.check_time(time)
        return self._frames.index_at(as_seconds("time", time))

    def _prompt(self, visual: VisualPrompts, time: float | str, number: int) -> Segmentation:
        """Prompt one frame of an object."""
        (segmentation,) = self._apply(self._objects.get_or_new(number), {self._index(time): visual})
        return segmentation

    def _apply(self, state: ObjectState, frames: Mapping[int, VisualPrompts]) -> tuple[Segmentation, ...]:
        """Prompt some frames of an object as one step; returns their masks in the order of time."""
        for index, visual in frames.items():
            state = self._prompt_applier.apply_prompts(state, index, visual)
        state = self._objects.put(state)
        return tuple(
            self._latest_masks.show(state, index, self._propagator.predict_frame(state, index))
            for index in sorted(frames)
        )

    def _change_condition(self, number: int, change: Callable[[Condition], Condition]) -> None:
        """Update the audio and text condition of an object."""
        self._frames.check_open()
        state = self._objects.get_or_new(number)
        condition = change(state.condition)
        if condition != state.condition:
            self._objects.put(self._with_condition(state, condition))

    def _with_condition(self, state: ObjectState, condition: Condition) -> ObjectState:
        if condition.text is not None and not self._reads_text:
            raise UsageError("this model reads no text: hear or point instead, or load a model such as ref-avs")
        state = dataclasses.replace(state, condition=condition, versions=())
        return self._propagator.recompute_prompted(state) if self._propagator.combine == "joint" else state


@exclusive
def latest_mask(session: VideoSession, time: float, object_id: int = SOUNDING) -> MaskPrediction | None:
    """Return the latest mask of an object on a frame, which the next clicks correct; None without one.

    Raises:
        UsageError: there is no such object, or the time lies outside the processed part.
    """
    return session._latest_masks.get(session._state(object_id), session._index(time))


@exclusive
def set_latest_mask(
    session: VideoSession, prediction: MaskPrediction, time: float, object_id: int = SOUNDING
) -> Segmentation:
    """Set the latest mask of an object on a frame, for instance from an earlier session.

    Raises:
        UsageError: there is no such object, the time lies outside the processed part, or the mask has another size.
    """
    return session._latest_masks.show(session._state(object_id), session._index(time), prediction)
