"""Random access to the processed frames of a video: times, windows, images and features."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack

import numpy as np
import torch

from auralsam2.errors import InputError, UsageError
from auralsam2.inference.feature_cache import FeatureCache, pack_features, unpack_features
from auralsam2.inference.frame_table import FrameTable
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
_SEEK_DISTANCE = 10.0
"""Seconds ahead up to which the second reader decodes all images instead of seeking."""
_BACKWARD_RUN = 16
"""Number of earlier images decoded together with the requested one when frames are requested backward."""


class FrameStore:
    """The processed frames of a video.

    The file is read forward as far as a request needs. Images and features are cached; what the cache has evicted is
    decoded and encoded again. Frames that show the same image share it and its features. Without the cache, a frame
    takes 56 bytes for its times and numbers; frames of a live source that are no longer needed take none.

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
        self._table = FrameTable()
        self._background = ExitStack()
        self._reader = source.open_frames()
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
        while len(self._table) <= index and not self._ended:
            self._read()
        return 0 <= index < len(self._table)

    def upward(self, index: int) -> Iterator[int]:
        """Yield the indices from `index` to the last frame; reads the file as they are requested."""
        while self.has(index):
            yield index
            index += 1

    def last(self) -> int:
        """Return the index of the last frame; reads the file to its end."""
        while not self._ended:
            self._read(cache_from=np.inf)
        return len(self._table) - 1

    def time(self, index: int) -> float:
        """Return the presentation time of a frame that was read, in seconds."""
        return self._table.time(index)

    def frame(self, index: int) -> Frame:
        """Return a frame that was read, with its image; its slot ends with the video at the latest."""
        begin, end = self._table.slot(index)
        limits = (self.source.info.duration, self.source.end)
        limit = min((limit for limit in limits if limit is not None and limit > begin), default=math.inf)
        if self.source.fps is None:
            end = min(end, limit)
        elif not self.source.live:
            begin, end = slot_at(index, self.source.fps, self.source.start, limit)
        return Frame(
            index=index,
            time=self._table.time(index),
            instant=self._table.instant(index),
            slot=(begin, end),
            image=self.picture(index),
            source_index=self._table.source_index(index),
            pts=self._table.pts(index),
        )

    def index_at(self, time: float) -> int:
        """Return the index of the frame whose instant is nearest to a time in seconds; reads the file up to it."""
        cache_from = time - 2 * self._slots * self.slot
        while not self._ended and not self._table.reaches(time):
            self._read(cache_from=cache_from)
        return self._table.nearest(time)

    def moment(self, index: int) -> FrameTime:
        """Return index, instant and slot of a frame that was read."""
        instant = self._table.instant(index)
        return FrameTime(index, instant, self._slot_of(instant))

    def window(self, index: int) -> Window:
        """Return the window that yields a frame; reads the file up to the first frame after the window."""
        window = self._window
        if window is None or not window.first_new <= index <= window.moments[-1].index:
            # Windows end at multiples of their step; the last one may overlap the one before.
            step = self.source.step or self._slots
            first = self.moment(index).slot // step * step - self._slots
            begin = self._table.first_at(first, key=self._slot_of)
            window = next(
                window
                for window in windows(
                    map(self.moment, self.upward(begin)), self._slots, step, self._next_slot if self._regular else None
                )
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
                    self._put_picture(earlier, self._decode_again(self._table.time(earlier)))
            image = self._decode_again(self._table.time(index))
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
        shared = self._first_with_image(frames.stop) if frames.stop < len(self._table) else -1
        first = self._first_with_image(frames.start)
        self._cache.forget((index for index in range(first, frames.stop) if index != shared), *kinds)

    def forget_before(self, index: int) -> None:
        """Drop all cached data of the frames before one, for passes that do not return to them."""
        self.forget(range(self._freed, index))
        self._freed = max(self._freed, index)
        if self.source.live:
            self._table.drop_before(self._freed)

    def _read(self, cache_from: float = -np.inf) -> None:
        """Read one more frame; cache its image if its instant is `cache_from` or later."""
        if self._unread is None:
            self._unread = self._read_frames()
        frame, features = next(self._unread, (None, None))
        if frame is None:
            self._ended = True
            return
        self._table.append(frame)
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
        return self._table.first_with_image(index)

    def _slot_of(self, instant: float) -> int:
        return slot_of(instant, self.source.start, self.slot)

    @property
    def _regular(self) -> bool:
        """Whether a window of a live source is complete at its last frame, as the time of the next one is known."""
        return self.source.live and self.source.fps is not None

    def _next_slot(self, moment: FrameTime) -> int:
        return self._slot_of(moment.instant + 1 / (self.source.fps or 1.0))

    def _put_picture(self, index: int, image: np.ndarray) -> None:
        self._cache.put(("picture", index), {"image": torch.from_numpy(image)})

    def _decode_again(self, time: float) -> np.ndarray:
        """Decode the image of a presentation time with a second reader, which continues or seeks."""
        if self.source.live:
            raise InputError(f"{self.source.info.name}: the image at {time:.2f} s is no longer available")
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
