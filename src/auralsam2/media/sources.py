"""Other sources than media files: folders of pictures, arrays, streams and addresses."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import IO, Any

import av
import numpy as np
from PIL import Image

from auralsam2.arguments import as_array, as_index, as_number, as_path
from auralsam2.errors import InputError, UsageError, quoted
from auralsam2.media.frame_reader import read_frames
from auralsam2.paths import PICTURE_EXTENSIONS
from auralsam2.types import Frame

_VERSIONS = {"etag", "mtime", "lastmodified", "last_modified", "updated", "created", "md5hash", "content_md5"}
"""Members of `info` of `fsspec`, in lower case, that change with the content."""
_TICKS = 90_000
_LOSSLESS = {"qp": "0", "preset": "ultrafast", "bf": "0", "g": "30"}


def frames_from(
    source: Any,
    *,
    rate: float | None = None,
    times: Iterable[float] | None = None,
    fps: float | None = None,
    start: float = 0.0,
    end: float | None = None,
) -> Iterator[Frame]:
    """Yield the frames of any source; see `media_file` for the sources and `read_frames` for the choice of frames.

    Args:
        source: any source of `media_file`.
        rate: pictures per second of a folder or of arrays.
        times: seconds of each array, in place of a rate.
        fps: frames per second to yield; None for all.
        start: first second of the part.
        end: second before which the part ends; None for the end of the source.

    Raises:
        InputError: the source cannot be read.
        UsageError: arguments do not fit the source.
    """
    with media_file(source, rate=rate, times=times) as path, read_frames(path, fps=fps, start=start, end=end) as reader:
        yield from reader


class OpenedSource:
    """A source as a media file. A temporary file is removed by `close`, or with this object.

    Args:
        path: the file.
        name: of the source, for people.
        folder: temporary folder with the file; None where the file is the source itself.
    """

    def __init__(self, path: Path, name: str, folder: str | None = None) -> None:
        self.path, self.name = path, name
        self._finalizer = None if folder is None else weakref.finalize(self, shutil.rmtree, folder, True)

    def close(self) -> None:
        """Remove the temporary file."""
        if self._finalizer is not None:
            self._finalizer()


@contextmanager
def media_file(
    source: Any,
    *,
    rate: float | None = None,
    times: Iterable[float] | None = None,
    sound: np.ndarray | None = None,
    sound_rate: int | None = None,
) -> Iterator[Path]:
    """Provide a source as a media file, which exists until the context ends; see `open_source`."""
    file = open_source(source, rate=rate, times=times, sound=sound, sound_rate=sound_rate)
    try:
        yield file.path
    finally:
        file.close()


def is_media_path(source: Any) -> bool:
    """Whether a source is the name of a file, not a folder, an address or standard input."""
    if isinstance(source, str) and (source == "-" or "://" in source):
        return False
    return isinstance(source, str | os.PathLike) and not os.path.isdir(source)  # noqa: PTH112


def open_source(
    source: Any,
    *,
    rate: float | None = None,
    times: Iterable[float] | None = None,
    sound: Any = None,
    sound_rate: int | None = None,
) -> OpenedSource:
    """Open a source as a media file.

    Media files are used as they are. Any other source is copied to a temporary file, piece by piece, so that memory
    does not grow with its length; pictures are stored without loss.

    Args:
        source: a media file; a folder of pictures, ordered by name; an iterable of arrays or tensors, (H, W, 3) or
            (3, H, W) uint8 RGB; `-` for standard input; a binary file object; or an address such as `https://…` or
            `s3://…`, which needs the package `fsspec`.
        rate: pictures per second of a folder or of arrays.
        times: seconds of each array, rising, in place of a rate.
        sound: (N,) or (N, C) float in [-1, 1], for a folder or arrays.
        sound_rate: samples per second of `sound`.

    Raises:
        InputError: the source cannot be read, or holds no pictures.
        UsageError: rate, times or sound do not fit the source.
    """
    file, pictures = _content(source)
    if pictures is None and not (rate is None and times is None and sound is None):
        raise UsageError(f"{source}: `rate`, `times` and `sound` are for folders of pictures and arrays")
    if pictures is not None and (rate is None) == (times is None):
        prefix = f"{source}: " if isinstance(source, str | os.PathLike) else ""
        raise UsageError(f"{prefix}pictures need either `rate`, pictures per second, or `times`: give one of them")
    if rate is not None:
        rate = as_number("rate", rate)
        if rate <= 0:
            raise UsageError(f"`rate={rate:g}` must be above 0")
    if sound is not None:
        sound = as_array("sound", sound)
        if not sound_rate:
            raise UsageError("`sound` needs `sound_rate`, in samples per second")
        sound_rate = as_index("sound_rate", sound_rate)
    if isinstance(file, Path):
        return OpenedSource(file, str(file))
    folder = tempfile.mkdtemp(prefix="auralsam2-")
    name = str(source) if isinstance(source, str | os.PathLike) else "frames" if file is None else "stream"
    copy = OpenedSource(Path(folder) / ("source.mov" if file is None else "source"), name, folder)
    try:
        if pictures is not None:
            moments = times if times is not None else (number / (rate or 1) for number in count())
            _write(copy.path, pictures, moments, sound, sound_rate or 0)
        elif file is not None:
            with copy.path.open("wb") as target:
                shutil.copyfileobj(file, target)
        os.utime(copy.path, (0, 0))  # the content alone identifies a copy
    except BaseException:
        copy.close()
        raise
    return copy


def _content(source: Any) -> tuple[Path | IO[bytes] | None, Iterable[Any] | None]:
    """The source as a file, or as an iterable of pictures."""
    if isinstance(source, str) and source == "-":
        return sys.stdin.buffer, None
    if isinstance(source, str) and "://" in source:
        return _remote(source), None
    if isinstance(source, str | os.PathLike):
        path = as_path("source", source)
        return (None, _folder(path)) if path.is_dir() else (path, None)
    if hasattr(source, "read"):
        return source, None
    if isinstance(source, Iterable):
        return None, source
    raise UsageError(f"`path={quoted(source)}`: no source: give a file, a folder, an address, a stream or pictures")


def address_identity(address: str) -> str | None:
    """Return a text that changes with the content behind an address; None where the server tells no time and no tag.

    Raises:
        InputError: the address cannot be opened.
    """
    with _remote_errors(address) as fsspec:
        filesystem, path = fsspec.core.url_to_fs(address)
        known = filesystem.info(path)
    if known.get("size") is None or not any(name.lower() in _VERSIONS and known[name] for name in known):
        return None
    return json.dumps(known, sort_keys=True, default=str)


def _remote(address: str) -> IO[bytes]:
    """Open an address by `fsspec`."""
    with _remote_errors(address) as fsspec:
        filesystem, path = fsspec.core.url_to_fs(address)
        return filesystem.open(path, "rb")


@contextmanager
def _remote_errors(address: str) -> Iterator[Any]:
    """Yield the module `fsspec`; its errors become errors for the user."""
    try:
        import fsspec
    except ImportError as error:
        raise InputError(f"{address}: needs the package fsspec: pip install fsspec, or download the file") from error
    try:
        yield fsspec
    except Exception as error:  # fsspec raises errors of many libraries
        cause = error.__cause__ or error.__context__ or error  # fsspec's own error may give the address alone
        reason = " ".join(str(cause).split()) or type(cause).__name__
        raise InputError(f"{address}: cannot be opened ({reason}): check the address, or download the file") from error


def _folder(folder: Path) -> Iterator[np.ndarray]:
    """The pictures of a folder, by name."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_EXTENSIONS and path.is_file())
    if not paths:
        raise InputError(
            f"{folder}: no pictures in this folder: their names end in {', '.join(sorted(PICTURE_EXTENSIONS))}"
        )
    return map(_picture, paths)


def _picture(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"))
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: cannot be read as a picture") from error


def _array(picture: Any) -> np.ndarray:
    """An array or tensor as (H, W, 3) uint8."""
    image = np.asarray(picture.cpu() if hasattr(picture, "cpu") else picture)
    if image.ndim == 3 and image.shape[0] == 3 and image.shape[2] != 3:
        image = image.transpose(1, 2, 0)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise UsageError(f"picture of {image.dtype} {image.shape}: give (H, W, 3) or (3, H, W) uint8 RGB")
    return np.ascontiguousarray(image)


def _write(
    path: Path, pictures: Iterable[Any], times: Iterable[float], sound: np.ndarray | None, sound_rate: int
) -> None:
    """Write pictures without loss, and sound, as a QuickTime file."""
    last = -1
    shape: Sequence[int] | None = None
    with av.open(str(path), "w") as output:
        video: Any = output.add_stream("libx264rgb", rate=25, options=dict(_LOSSLESS))
        audio: Any = None if sound is None else output.add_stream("pcm_f32le", rate=sound_rate, layout="stereo")
        for picture, time in zip(pictures, times, strict=False):
            image = _array(picture)
            if shape is None:
                shape = image.shape
                video.height, video.width = shape[:2]
                video.pix_fmt = "rgb24"
                video.codec_context.time_base = Fraction(1, _TICKS)
                if sound is not None:
                    output.mux(list(_samples(audio, sound, sound_rate)))
            if image.shape != shape:
                raise UsageError(f"picture of shape {image.shape} after pictures of shape {shape}: give one size")
            ticks = round(time * _TICKS)
            if ticks <= last:
                raise UsageError(f"picture at {time:g} s is not later than the one before: `times` must rise from 0")
            last = ticks
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = ticks, Fraction(1, _TICKS)
            output.mux(video.encode(frame))
        if shape is None:
            raise InputError("the source holds no pictures")
        output.mux(video.encode(None))


def _samples(stream: Any, sound: np.ndarray, rate: int) -> Iterator[Any]:
    """Encode sound as stereo, a second at a time."""
    samples = np.asarray(sound, dtype=np.float32)
    if samples.ndim == 1:
        samples = samples[:, None]
    if samples.ndim != 2 or samples.shape[1] not in (1, 2):
        raise UsageError(f"sound of shape {samples.shape}: give (N,), (N, 1) or (N, 2)")
    stereo = np.broadcast_to(samples, (len(samples), 2))
    for at in range(0, len(stereo), rate):
        packed = np.ascontiguousarray(stereo[at : at + rate]).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout="stereo")
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), at
        yield from stream.encode(frame)
    yield from stream.encode(None)
