"""A conversation about one video: say what to look for, in any way, on any frame; see the mask; correct; go on."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

import numpy as np
import torch

from auralsam2.errors import UsageError
from auralsam2.inference.exclusive_access import exclusive_method
from auralsam2.inference.feature_cache import DEFAULT_LIMIT, DISK_LIMIT, FeatureCache
from auralsam2.inference.feature_prompts import Condition, FeaturePromptProvider
from auralsam2.inference.frame_store import FrameStore
from auralsam2.inference.object_history import ObjectRegistry
from auralsam2.inference.object_state import MERGES, MaskPrediction, Merge, ObjectState
from auralsam2.inference.prompt_mapping import XY, XYXY, PromptMapper, from_mask
from auralsam2.inference.propagation import COMBINES, Combine, MultiObjectPropagation, PromptApplier, Propagator
from auralsam2.inference.results import SILENT_SO_FAR, LatestMasks, damage_notes
from auralsam2.inference.video_source import VideoSource
from auralsam2.modeling.network import AuralNetwork
from auralsam2.modeling.prompt_encoder import VisualPrompts
from auralsam2.types import MediaInfo, Prompts, Segmentation
from auralsam2.utils.timing import StageTimer

SOUNDING = 0
"""The object that is whatever sounds."""
LEAST_PART = 0.002
"""Fraction of the frame that a part of a mask must cover to become an object of its own."""


@exclusive_method
class VideoSession:
    """An interactive session; a context manager. Threads may take turns; a call while another runs is a `UsageError`.

    Each frame is encoded once, when it is first needed; later prompts cost the decoder alone. Object 0 is what sounds.

    Args:
        network: in evaluation mode.
        source: the video.
        compute: makes the context in which the network runs, for instance autocast.
        combine: `joint` or `ensemble`: what becomes of an object that is both heard and pointed at; see `Follower`.
        merge: of an ensemble: `mean_prob`, `mean_logit`, `max_iou_score` or `union`.
        memory: bytes of what was computed to keep in memory.
        disk: bytes of it to keep in a temporary file; beyond that it is computed again.
        clock: counts seconds per stage.

    Raises:
        InputError: the video cannot be opened.
        UsageError: an unknown way to combine or merge.
    """

    def __init__(
        self,
        network: AuralNetwork,
        source: VideoSource,
        compute: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext,
        *,
        combine: Combine = "joint",
        merge: Merge = "mean_prob",
        memory: int = DEFAULT_LIMIT,
        disk: int = DISK_LIMIT,
        clock: StageTimer | None = None,
    ) -> None:
        for what, value, known in (("combine", combine, COMBINES), ("merge", merge, MERGES)):
            if value not in known:
                raise UsageError(f"{what} {value!r}: choose from {', '.join(known)}")
        self.source, self.clock = source, clock or StageTimer()
        self._network = network
        self._reads = network.config.fuser.modality == "audio+text"
        self._kept = FeatureCache(memory, disk)
        listen = source.sound is not None or self._reads
        self._film = FrameStore(network, source, compute, self.clock, self._kept, listen=listen)
        self._sounds = FeaturePromptProvider(network, self._film, compute, self.clock, self._kept)
        self._follower = Propagator(network, self._film, self._sounds, compute, self.clock, combine, merge)
        self._display = LatestMasks(network, self._film, self._sounds, self._kept)
        self._pointing = PromptMapper(source, network.image_size)
        self._sower = PromptApplier(self._follower, self._display, network.image_size)
        self._course = MultiObjectPropagation(self._film, self._follower, self._display)
        self._cast = ObjectRegistry()

    def __enter__(self) -> VideoSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and free all cached data."""
        self._film.close()
        self._sounds.close()
        self._kept.close()

    @property
    def info(self) -> MediaInfo:
        """What the video says of itself."""
        return self.source.info

    @property
    def objects(self) -> tuple[int, ...]:
        """Numbers of the objects that are there now."""
        return self._cast.numbers

    @property
    def warnings(self) -> list[str]:
        """Notes for the user, as far as the video was read."""
        notes = damage_notes(self._film.damage, self._sounds.damage)
        if self._sounds.asked and not self._sounds.heard_something:
            notes.append(SILENT_SO_FAR)
        if self._kept.dropped:
            notes.append(f"more frames than fit in {self._kept.limit >> 20} MiB: some may have to be encoded again")
        return notes

    def add_points(
        self, points: Sequence[XY], labels: Sequence[int], time: float, object: int = 1, *, box: XYXY | None = None
    ) -> Segmentation:
        """Click on an object, or correct its mask.

        On a frame where the object has a mask on display, that mask goes to the decoder beside all clicks of the
        frame, as in SAM 2. Where the first clicks on the frame of an object that is heard or named only take away, the
        middle of the largest other part of its mask is clicked too, for it to stay.

        Args:
            points: (x, y) in source pixels.
            labels: 1 for the object, 0 for what is not part of it.
            time: in seconds; the frame whose instant is nearest is meant.
            object: its number; a new one makes a new object.
            box: (x0, y0, x1, y1) around it, said in the same breath; see `add_box`.

        Returns:
            the mask of the object on that frame.

        Raises:
            UsageError: something lies outside the frame or the processed part, or labels do not fit.
        """
        return self._point(self._pointing.points(points, labels, time, box), time, object)

    def add_box(self, box: XYXY, time: float, object: int = 1) -> Segmentation:
        """Draw a box around an object. It begins its frame anew: what was said of the object there before is dropped.

        Args:
            box: (x0, y0, x1, y1) in source pixels.
            time: in seconds.
            object: its number.

        Returns:
            the mask of the object on that frame.

        Raises:
            UsageError: the box is empty, or lies outside the frame or the processed part.
        """
        return self._point(self._pointing.points((), (), time, box), time, object)

    def add_mask(self, mask: Path | str | np.ndarray, time: float, object: int = 1) -> Segmentation:
        """Give a mask of an object. It begins its frame anew, as a box does.

        Args:
            mask: a picture file, or (H, W) of any type, of the frame's size; what is not 0 is the object.
            time: in seconds.
            object: its number.

        Returns:
            the mask that the decoder makes of it.

        Raises:
            UsageError: the time lies outside the processed part, or the mask has another size.
            InputError: the file cannot be used.
        """
        return self._point(self._pointing.mask(mask, time), time, object)

    def add(self, prompts: Prompts, object: int = 1) -> tuple[Segmentation, ...]:
        """Say several things at once, as `segment` is told them; one step of `undo`.

        What falls on one frame goes to the decoder in one call. Frames on which something is only taken away come after
        the others.

        Args:
            prompts: points, boxes, masks and text.
            object: its number.

        Returns:
            the masks of the object on the frames that were pointed at, in the order of time.

        Raises:
            UsageError: there are no prompts, something lies outside the frame or the processed part, two boxes or two
                masks fall on one frame, or there is text and the model reads none.
            InputError: the file of a mask cannot be used.
        """
        if prompts == Prompts():
            raise UsageError("no prompts: give points, boxes, masks or text")
        track = self._cast.get_or_new(object)
        frames = self._pointing.by_frame(prompts, self._index)
        if prompts.text is not None:
            track = self._told(track, dataclasses.replace(track.said, text=prompts.text))
        return self._sow(track, frames)

    def hear(self, on: bool = True, *, object: int = SOUNDING) -> None:
        """Let an object be what sounds, or no longer; `combine` says what the user's prompts are beside.

        Raises:
            UsageError: there is no sound.
        """
        if on and self.source.sound is None:
            raise UsageError(f"{self.info.path}: no sound to hear: open it with audio=FILE, or point at the object")
        if on or object in self._cast:
            self._tell(object, lambda said: dataclasses.replace(said, hears=on))

    def say(self, text: str | None, *, object: int = SOUNDING) -> None:
        """Name an object in words; None takes them back.

        Raises:
            UsageError: the model reads no text.
        """
        if text is not None or object in self._cast:
            self._tell(object, lambda said: dataclasses.replace(said, text=text))

    def remove(self, object: int) -> None:
        """Forget an object.

        Raises:
            UsageError: there is no such object.
        """
        self._cast.remove(object)

    def clear(self, object: int, time: float) -> None:
        """Take back all that was pointed at on one frame of an object; an object of which nothing is left goes.

        Raises:
            UsageError: there is no such object, or nothing was said of it there.
        """
        track = self._track(object)
        index = self._index(time)
        if index not in track.seeds:
            times = ", ".join(f"{self._film.time(seed):g}" for seed in track.seeds) or "no frame"
            raise UsageError(f"object {object} has no prompts on the frame at {time:g} s: it has some at {times}")
        self._cast.put(dataclasses.replace(track.with_seed(index, None), versions=()))

    def undo(self) -> None:
        """Take the last change of the prompts back.

        Raises:
            UsageError: there is none.
        """
        self._cast.undo()

    def redo(self) -> None:
        """Take the last undo back.

        Raises:
            UsageError: there is none.
        """
        self._cast.redo()

    def look(self, time: float, object: int = SOUNDING) -> Segmentation:
        """The mask of an object on one frame, without the way there: from its prompted frames alone.

        Raises:
            UsageError: there is no such object, or the time lies outside the processed part.
        """
        track = self._track(object)
        index = self._index(time)
        return self._display.show(track, index, self._follower.at(track, index))

    def shown(self, time: float, object: int = SOUNDING) -> MaskPrediction | None:
        """The mask of an object that is on display on a frame, for the next clicks to correct; None without one.

        Raises:
            UsageError: there is no such object, or the time lies outside the processed part.
        """
        track = self._track(object)
        return self._display.shown(track, self._index(time))

    def show(self, found: MaskPrediction, time: float, object: int = SOUNDING) -> Segmentation:
        """Put a mask on display, such as one that an earlier session has shown.

        Raises:
            UsageError: there is no such object, or the time lies outside the processed part.
        """
        track = self._track(object)
        return self._display.show(track, self._index(time), found)

    def propagate(
        self, start: float | None = None, *, reverse: bool = False, both: bool = False
    ) -> Iterator[Segmentation]:
        """Follow all objects through time, lazily; what is said meanwhile counts from the next call on.

        Args:
            start: second at which to start; by default the first prompted frame (with `reverse` the last one), or the
                end of the clip it comes from where an object is only heard or named.
            reverse: backward in time.
            both: forward to the end, then backward from the frame before the start.

        Yields:
            frame by frame, the objects of a frame one after the other, by number.

        Raises:
            UsageError: nothing was asked, or the time lies outside the processed part.
        """
        tracks = self._tracks()
        first = self._course.start(tracks, reverse=reverse and not both) if start is None else self._index(start)
        if both:
            ahead = self._course.run(tracks, first, reverse=False)
            return itertools.chain(ahead, self._course.run(tracks, first - 1, reverse=True))
        return self._course.run(tracks, first, reverse=reverse)

    def stream(self) -> Iterator[Segmentation]:
        """Follow all objects through the whole video, lazily, in the order of time.

        From the first prompted frame on as `propagate` does; those before it are found backward from there, and come
        first. For long videos: what was kept of a frame is let go of when it was given out.

        Yields:
            frame by frame, the objects of a frame one after the other, by number.

        Raises:
            UsageError: nothing was asked.
        """
        tracks = self._tracks()
        return self._course.stream(tracks, self._course.start(tracks, reverse=False))

    def split(self, time: float | None = None, *, object: int = SOUNDING, least: float = LEAST_PART) -> tuple[int, ...]:
        """Make an object of each part of a mask, where it has several: two sources that do not touch, for instance.

        Args:
            time: frame at which to cut; None for the one with the most parts, for which all frames are looked at.
            object: whose mask is cut; it stays as it is.
            least: fraction of the frame that a part must cover.

        Returns:
            numbers of the new objects, the largest part first; none where the mask has fewer than two parts.

        Raises:
            UsageError: there is no such object, or the time lies outside the processed part.
        """
        track = self._track(object)
        pixels = max(1, round(least * self._network.image_size**2))
        index, cut = self._follower.cut(track, None if time is None else self._index(time), pixels)
        if len(cut) < 2:
            return ()
        numbers = tuple(itertools.islice(itertools.count(max(self.objects) + 1), len(cut)))
        self._cast.put_all(
            self._sower.sown(ObjectState(number=number), index, from_mask(torch.from_numpy(part)))
            for number, part in zip(numbers, cut, strict=True)
        )
        return numbers

    def _tracks(self) -> list[ObjectState]:
        """All objects; one at least."""
        self._film.check_open()
        if not self.objects:
            raise UsageError("nothing was asked: call hear(), say(), add_points(), add_box() or add_mask() first")
        return [self._cast.get(number) for number in self.objects]

    def _track(self, number: int) -> ObjectState:
        self._film.check_open()
        return self._cast.get(number)

    def _index(self, time: float) -> int:
        self._film.check_open()
        self._pointing.check_time(time)
        return self._film.index_at(time)

    def _point(self, visual: VisualPrompts, time: float, number: int) -> Segmentation:
        """One frame of an object."""
        (shown,) = self._sow(self._cast.get_or_new(number), {self._index(time): visual})
        return shown

    def _sow(self, track: ObjectState, frames: Mapping[int, VisualPrompts]) -> tuple[Segmentation, ...]:
        """What is pointed at on some frames of an object, as one step; the masks in the order of time."""
        for index, visual in frames.items():
            track = self._sower.sown(track, index, visual)
        track = self._cast.put(track)
        return tuple(self._display.show(track, index, self._follower.at(track, index)) for index in sorted(frames))

    def _tell(self, number: int, change: Callable[[Condition], Condition]) -> None:
        """Another word to the fuser about an object."""
        self._film.check_open()
        track = self._cast.get_or_new(number)
        said = change(track.said)
        if said != track.said:
            self._cast.put(self._told(track, said))

    def _told(self, track: ObjectState, said: Condition) -> ObjectState:
        if said.text is not None and not self._reads:
            raise UsageError("this model reads no text: hear or point instead, or load a model such as ref-avs")
        track = dataclasses.replace(track, said=said, versions=())
        return self._follower.replant(track) if self._follower.combine == "joint" else track
