"""The film: the frames of a clip in any order, each decoded, encoded and cut into windows when it is asked for."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import numpy as np
import torch

from auralsam2.errors import InputError, UsageError
from auralsam2.inference.feature_cache import FeatureCache, pack_features, unpack_features
from auralsam2.inference.video_source import VideoSource
from auralsam2.inference.windows import FrameTime, Window, slot_length, slot_of, windows
from auralsam2.media.frame_reader import FrameReader
from auralsam2.modeling.image_encoder import FrameFeatures
from auralsam2.modeling.network import AuralNetwork
from auralsam2.modeling.preprocess import normalise, to_square
from auralsam2.types import Frame
from auralsam2.utils.timing import StageTimer

_SLACK = 1e-6
_FAR = 10.0
"""Seconds of pictures that are read through rather than sought over."""
_STRETCH = 16
"""Pictures before the wanted one that are read with it on the way back: files are read forward."""


class FrameStore:
    """Random access to the processed frames of a video.

    A picture is encoded once and kept in `cache`, which has a bound; what gave way there is read and encoded again. Of
    a frame that was passed, its two times stay: 16 bytes.

    Args:
        network: encodes.
        source: the video.
        compute: makes the context in which the network runs.
        clock: counts seconds per stage.
        cache: owned by the caller.
        listen: make what the fuser needs too.

    Raises:
        InputError: the file cannot be opened.
    """

    def __init__(
        self,
        network: AuralNetwork,
        source: VideoSource,
        compute: Callable[[], AbstractContextManager[object]],
        clock: StageTimer,
        cache: FeatureCache,
        *,
        listen: bool,
    ) -> None:
        self.source = source
        self._network, self._compute, self._clock, self._cache = network, compute, clock, cache
        self._listen = listen
        self.slot = slot_length(source.fps)
        self._slots = network.config.clip.frames
        self._times, self._instants = array("d"), array("d")
        self._reader = FrameReader(source.info.path, fps=source.fps, start=source.start, end=source.end)
        self._ended = False
        self._window: Window | None = None
        self._again: FrameReader | None = None
        self._shown: Frame | None = None
        self._asked = 0
        self._closed = False

    def check_open(self) -> None:
        """Check that the file was not let go of.

        Raises:
            UsageError: it was.
        """
        if self._closed:
            raise UsageError(f"{self.source.info.path}: the session is closed: open it again")

    def close(self) -> None:
        """Let go of the file."""
        self._closed = True
        self._reader.close()
        if self._again is not None:
            self._again.close()

    @property
    def damage(self) -> list[float]:
        """Seconds at which the pictures are damaged, as far as they were read."""
        return self._reader.damage

    @property
    def notes(self) -> list[str]:
        """Sentences about corrections and conversions of the pictures, as far as they were read."""
        return [*self._reader.notes, *self.source.notes]

    def has(self, index: int) -> bool:
        """Whether there is a frame of this index; reads on up to it."""
        while len(self._times) <= index and not self._ended:
            self._read()
        return 0 <= index < len(self._times)

    def upward(self, index: int) -> Iterator[int]:
        """Indices from one on to the last; reads on as they are taken."""
        while self.has(index):
            yield index
            index += 1

    def last(self) -> int:
        """Index of the last frame; reads to the end."""
        while not self._ended:
            self._read(keep_from=np.inf)
        return len(self._times) - 1

    def time(self, index: int) -> float:
        """Presentation time of a frame that was read, in seconds."""
        return self._times[index]

    def index_at(self, time: float) -> int:
        """The frame that a moment means: the one whose instant is nearest; reads on up to it."""
        near = time - 2 * self._slots * self.slot
        while not self._ended and not (self._instants and self._instants[-1] >= time):
            self._read(keep_from=near)
        right = bisect_left(self._instants, time)
        around = [index for index in (right - 1, right) if 0 <= index < len(self._instants)]
        return min(around, key=lambda index: abs(self._instants[index] - time))

    def moment(self, index: int) -> FrameTime:
        """A frame that was read, in time."""
        instant = self._instants[index]
        return FrameTime(index, instant, slot_of(instant, self.source.start, self.slot))

    def window(self, index: int) -> Window:
        """The window that gives out a frame; reads up to the first frame behind it."""
        window = self._window
        if window is None or not window.first_new <= index <= window.moments[-1].index:
            # Windows begin at multiples of their length; the last one may reach back into the one before.
            first = (self.moment(index).slot // self._slots - 1) * self._slots
            start = self.source.start
            begin = bisect_left(self._instants, first, key=lambda instant: slot_of(instant, start, self.slot))
            window = next(
                window
                for window in windows(map(self.moment, self.upward(begin)), self._slots)
                if window.first_new <= index <= window.moments[-1].index
            )
            self._window = window
        return window

    def picture(self, index: int) -> np.ndarray:
        """The picture of a frame that was read, (H, W, 3) uint8, read-only; decoded again if it is no longer kept."""
        index = self._first(index)
        backward, self._asked = index < self._asked, index
        kept = self._cache.get(("picture", index))
        if kept is not None:
            return _locked(kept["image"].numpy())
        with self._clock.stage("decode"):
            for earlier in range(max(0, index - _STRETCH), index) if backward else ():
                if self._first(earlier) == earlier:
                    self._keep_picture(earlier, self._picture_at(self._times[earlier]))
            image = self._picture_at(self._times[index])
        self._keep_picture(index, image)
        return _locked(image)

    def features(self, index: int) -> FrameFeatures:
        """What the encoder makes of a frame that was read.

        Frames go through the encoder one by one, so that the numbers do not depend on the order of the questions.
        Frames that show the same picture share its features.
        """
        index = self._first(index)
        kept = self._cache.get(("features", index))
        if kept is not None:
            return unpack_features(kept)
        picture = self.picture(index)
        with self._clock.stage("encoder"), torch.inference_mode(), self._compute():
            square = to_square(picture, self._network.image_size).to(self._network.device)
            (features,) = self._network.encode(normalise(square[None]), with_patches=self._listen)
        self._cache.put(("features", index), pack_features(features))
        return features

    def forget(self, frames: range, *kinds: str) -> None:
        """Drop what is kept of some frames, or only some kinds; the picture that the next frame shows too stays."""
        if not frames:
            return
        shared = self._first(frames.stop) if frames.stop < len(self._times) else -1
        self._cache.forget(
            (index for index in range(self._first(frames.start), frames.stop) if index != shared), *kinds
        )

    def _read(self, keep_from: float = -np.inf) -> None:
        """Pass one more frame; keep its picture if its instant is not earlier than `keep_from`."""
        with self._clock.stage("decode"):
            frame = next(self._reader, None)
        if frame is None:
            self._ended = True
            return
        self._times.append(frame.time)
        self._instants.append(frame.instant)
        if frame.instant >= keep_from and self._cache.get(("picture", self._first(frame.index))) is None:
            self._keep_picture(self._first(frame.index), frame.image)

    def _first(self, index: int) -> int:
        """Index of the first frame that shows the same picture; under it, the picture and its features are kept."""
        return bisect_left(self._times, self._times[index])

    def _keep_picture(self, index: int, image: np.ndarray) -> None:
        self._cache.put(("picture", index), {"image": torch.from_numpy(image)})

    def _picture_at(self, time: float) -> np.ndarray:
        """The picture of a presentation time, by a reader of its own that goes on where it stands or seeks."""
        shown = self._shown
        if self._again is None or shown is None or not shown.time - _SLACK <= time <= shown.time + _FAR:
            if self._again is not None:
                self._again.close()
            self._again = FrameReader(self.source.info.path, fps=None, start=max(0.0, time), end=None)
            shown = next(self._again, None)
        while shown is not None and shown.time < time - _SLACK:
            shown = next(self._again, None)
        self._shown = shown
        if shown is None:
            raise InputError(f"{self.source.info.path}: the picture at {time:.2f} s cannot be read again: open it anew")
        return shown.image


def _locked(image: np.ndarray) -> np.ndarray:
    """The same picture, which whoever gets it cannot spoil for the next."""
    image = image.view()
    image.flags.writeable = False
    return image
