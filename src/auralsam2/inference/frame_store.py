"""Random access to the processed frames of a video: times, windows, images and features."""

from __future__ import annotations

import itertools
import math
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack

import numpy as np
import torch

from auralsam2.errors import InputError, UsageError
from auralsam2.inference.feature_cache import FeatureCache, pack_features, unpack_features
from auralsam2.inference.video_source import VideoSource
from auralsam2.inference.windows import FrameTime, Window, slot_length, slot_of, windows
from auralsam2.media.frame_reader import FrameReader, slot_at
from auralsam2.modeling.image_encoder import FrameFeatures
from auralsam2.modeling.network import AuralNetwork
from auralsam2.modeling.preprocess import normalise, to_square
from auralsam2.types import Frame
from auralsam2.utils.background import Prefetcher
from auralsam2.utils.timing import StageTimer

_TOLERANCE = 1e-6
_NO_STAMP = -(2**63)
_SEEK_DISTANCE = 10.0
"""Seconds ahead up to which the second reader decodes all images instead of seeking."""
_BACKWARD_RUN = 16
"""Number of earlier images decoded together with the requested one when frames are requested backward."""


class FrameStore:
    """The processed frames of a video.

    The file is read forward as far as a request needs. Images and features are cached; what the cache has evicted is
    decoded and encoded again. Frames that show the same image share it and its features. Without the cache, a frame
    takes 48 bytes for its times and numbers.

    Args:
        network: encodes the images.
        source: the video.
        compute: returns the context in which the network runs, without gradients.
        clock: counts seconds per stage.
        cache: owned by the caller.
        with_patches: compute the patch maps of the fuser too.
        prefetch: decode a few frames ahead in a background thread.
        batch: number of frames that are encoded together when they are read. By default, each frame is encoded alone
            when its features are first requested, so that the features do not depend on the order of the requests.

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
        with_patches: bool,
        prefetch: bool = False,
        batch: int | None = None,
    ) -> None:
        self.source = source
        self._network, self._compute, self._clock, self._cache = network, compute, clock, cache
        self._with_patches, self._prefetch, self._batch = with_patches, prefetch, batch
        self.slot = slot_length(source.fps)
        self._slots = network.config.clip.frames
        self._times, self._instants = array("d"), array("d")
        self._begins, self._ends = array("d"), array("d")  # of the slots
        self._numbers, self._stamps = array("q"), array("q")  # in the file; -1 and _NO_STAMP for unknown ones
        self._background = ExitStack()
        self._reader = FrameReader(source.info.path, fps=source.fps, start=source.start, end=source.end)
        self._unread: Iterator[tuple[Frame, FrameFeatures | None]] | None = None
        self._ended = False
        self._window: Window | None = None
        self._second_reader: FrameReader | None = None
        self._second_frame: Frame | None = None
        self._last_request = 0
        self._freed = 0
        self._closed = False

    def check_open(self) -> None:
        """Check that the store is not closed.

        Raises:
            UsageError: it is closed.
        """
        if self._closed:
            raise UsageError(f"{self.source.info.path}: the session is closed: open it again")

    def close(self) -> None:
        """Stop the background thread and close the file."""
        self._closed = True
        self._background.close()
        self._reader.close()
        if self._second_reader is not None:
            self._second_reader.close()

    @property
    def damage(self) -> list[float]:
        """Times of damaged images, in seconds, as far as the file was read."""
        return self._reader.damage

    @property
    def notes(self) -> list[str]:
        """Notes on corrections and conversions of the images, as far as the file was read, and on the audio track."""
        return [*self._reader.notes, *self.source.notes]

    def has(self, index: int) -> bool:
        """Return whether a frame with this index exists; reads the file up to it."""
        while len(self._times) <= index and not self._ended:
            self._read()
        return 0 <= index < len(self._times)

    def upward(self, index: int) -> Iterator[int]:
        """Yield the indices from `index` to the last frame; reads the file as they are requested."""
        while self.has(index):
            yield index
            index += 1

    def last(self) -> int:
        """Return the index of the last frame; reads the file to its end."""
        while not self._ended:
            self._read(cache_from=np.inf)
        return len(self._times) - 1

    def time(self, index: int) -> float:
        """Return the presentation time of a frame that was read, in seconds."""
        return self._times[index]

    def frame(self, index: int) -> Frame:
        """Return a frame that was read, with its image; its slot ends with the video at the latest."""
        number, stamp = self._numbers[index], self._stamps[index]
        begin, end = self._begins[index], self._ends[index]
        limits = (self.source.info.duration, self.source.end)
        limit = min((limit for limit in limits if limit is not None and limit > begin), default=math.inf)
        if self.source.fps is None:
            end = min(end, limit)
        else:
            begin, end = slot_at(index, self.source.fps, self.source.start, limit)
        return Frame(
            index=index,
            time=self._times[index],
            instant=self._instants[index],
            slot=(begin, end),
            image=self.picture(index),
            source_index=None if number < 0 else number,
            pts=None if stamp == _NO_STAMP else stamp,
        )

    def index_at(self, time: float) -> int:
        """Return the index of the frame whose instant is nearest to a time in seconds; reads the file up to it."""
        cache_from = time - 2 * self._slots * self.slot
        while not self._ended and not (self._instants and self._instants[-1] >= time):
            self._read(cache_from=cache_from)
        right = bisect_left(self._instants, time)
        around = [index for index in (right - 1, right) if 0 <= index < len(self._instants)]
        return min(around, key=lambda index: abs(self._instants[index] - time))

    def moment(self, index: int) -> FrameTime:
        """Return index, instant and slot of a frame that was read."""
        instant = self._instants[index]
        return FrameTime(index, instant, slot_of(instant, self.source.start, self.slot))

    def window(self, index: int) -> Window:
        """Return the window that yields a frame; reads the file up to the first frame after the window."""
        window = self._window
        if window is None or not window.first_new <= index <= window.moments[-1].index:
            # Windows begin at multiples of their length; the last one may overlap the one before.
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
        """Return the image of a frame that was read, (H, W, 3) uint8, read-only."""
        index = self._first_with_image(index)
        backward, self._last_request = index < self._last_request, index
        cached = self._cache.get(("picture", index))
        if cached is not None:
            return _read_only(cached["image"].numpy())
        with self._clock.stage("decode"):
            for earlier in range(max(0, index - _BACKWARD_RUN), index) if backward else ():
                if self._first_with_image(earlier) == earlier:
                    self._put_picture(earlier, self._decode_again(self._times[earlier]))
            image = self._decode_again(self._times[index])
        self._put_picture(index, image)
        return _read_only(image)

    def features(self, index: int) -> FrameFeatures:
        """Return the features of a frame that was read."""
        index = self._first_with_image(index)
        cached = self._cache.get(("features", index))
        if cached is not None:
            return unpack_features(cached)
        image = self.picture(index)
        with self._clock.stage("decode"):
            square = to_square(image, self._network.image_size)
        (features,) = self._encode([square])
        self._cache.put(("features", index), pack_features(features))
        return features

    def forget(self, frames: range, *kinds: str) -> None:
        """Drop the cached data of some frames: the given kinds, or all. The image shared with the next frame stays."""
        if not frames:
            return
        shared = self._first_with_image(frames.stop) if frames.stop < len(self._times) else -1
        first = self._first_with_image(frames.start)
        self._cache.forget((index for index in range(first, frames.stop) if index != shared), *kinds)

    def forget_before(self, index: int) -> None:
        """Drop all cached data of the frames before one, for passes that do not return to them."""
        self.forget(range(self._freed, index))
        self._freed = max(self._freed, index)

    def _read(self, cache_from: float = -np.inf) -> None:
        """Read one more frame; cache its image if its instant is `cache_from` or later."""
        if self._unread is None:
            self._unread = self._read_frames()
        frame, features = next(self._unread, (None, None))
        if frame is None:
            self._ended = True
            return
        self._times.append(frame.time)
        self._instants.append(frame.instant)
        self._begins.append(frame.slot[0])
        self._ends.append(frame.slot[1])
        self._numbers.append(-1 if frame.source_index is None else frame.source_index)
        self._stamps.append(_NO_STAMP if frame.pts is None else frame.pts)
        first = self._first_with_image(frame.index)
        if features is not None:
            self._cache.put(("features", first), pack_features(features))
        if frame.instant >= cache_from and self._cache.get(("picture", first)) is None:
            self._put_picture(first, frame.image)

    def _read_frames(self) -> Iterator[tuple[Frame, FrameFeatures | None]]:
        """Yield the frames; with `batch`, the features of each new image beside it."""
        frames = self._decode_frames()
        if self._prefetch:
            frames = iter(self._background.enter_context(Prefetcher(frames)))
        while group := list(itertools.islice(frames, self._batch or 1)):
            squares = [square for _, square in group if square is not None]
            features = iter(self._encode(squares) if squares else ())
            for frame, square in group:
                yield frame, None if square is None else next(features)

    def _decode_frames(self) -> Iterator[tuple[Frame, torch.Tensor | None]]:
        """Yield the frames; with `batch`, the resized image beside it unless the previous frame shows the same image.

        With `prefetch`, this runs in the background thread.
        """
        previous: float | None = None
        while True:
            with self._clock.stage("decode"):
                frame = next(self._reader, None)
                if frame is None:
                    return
                repeated, previous = frame.time == previous, frame.time
                resize = self._batch is not None and not repeated
                square = to_square(frame.image, self._network.image_size) if resize else None
            yield frame, square

    def _encode(self, squares: list[torch.Tensor]) -> tuple[FrameFeatures, ...]:
        """Encode images of (3, S, S) uint8 in one pass of the image encoder."""
        with self._clock.stage("encoder"), self._compute():
            pixels = normalise(torch.stack(squares).to(self._network.device))
            return self._network.encode(pixels, with_patches=self._with_patches)

    def _first_with_image(self, index: int) -> int:
        """Return the index of the first frame that shows the same image: the key of image and features."""
        return bisect_left(self._times, self._times[index])

    def _put_picture(self, index: int, image: np.ndarray) -> None:
        self._cache.put(("picture", index), {"image": torch.from_numpy(image)})

    def _decode_again(self, time: float) -> np.ndarray:
        """Decode the image of a presentation time with a second reader, which continues or seeks."""
        frame = self._second_frame
        near = frame is not None and frame.time - _TOLERANCE <= time <= frame.time + _SEEK_DISTANCE
        if self._second_reader is None or not near:
            if self._second_reader is not None:
                self._second_reader.close()
            path, start = self.source.info.path, max(0.0, time)
            self._second_reader = FrameReader(path, fps=None, start=start, end=None, numbered=False)
            frame = next(self._second_reader, None)
        while frame is not None and frame.time < time - _TOLERANCE:
            frame = next(self._second_reader, None)
        self._second_frame = frame
        if frame is None:
            raise InputError(f"{self.source.info.path}: the image at {time:.2f} s cannot be decoded again: reopen it")
        return frame.image


def _read_only(image: np.ndarray) -> np.ndarray:
    """Return a read-only view of an image."""
    image = image.view()
    image.flags.writeable = False
    return image
