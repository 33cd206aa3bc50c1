"""Makes small media files: PyAV and numpy alone, no command-line tools."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

SIZE = (64, 48)
_TICKS = 90_000


def numbered(number: int, width: int = SIZE[0], height: int = SIZE[1]) -> np.ndarray:
    """A picture (height, width, 3) that tells its number, 0 to 99, through any codec: grey tens left, ones right."""
    image = np.empty((height, width, 3), dtype=np.uint8)
    image[:, : width // 2] = 16 + 24 * (number // 10)
    image[:, width // 2 :] = 16 + 24 * (number % 10)
    return image


def number_of(image: np.ndarray) -> int:
    """The number in a picture of `numbered`."""
    half = image.shape[1] // 2
    tens, ones = (round((float(np.median(side)) - 16) / 24) for side in (image[:, :half], image[:, half:]))
    return 10 * tens + ones


def corners(width: int = SIZE[0], height: int = SIZE[1]) -> np.ndarray:
    """A picture with four different quarters: red and green above, blue and white below."""
    image = np.zeros((height, width, 3), dtype=np.uint8)
    image[: height // 2, : width // 2] = (220, 30, 30)
    image[: height // 2, width // 2 :] = (30, 220, 30)
    image[height // 2 :, : width // 2] = (30, 30, 220)
    image[height // 2 :, width // 2 :] = (230, 230, 230)
    return image


def tone(seconds: float, rate: int = 16_000, frequency: float = 440.0, channels: int = 2) -> np.ndarray:
    """A sine, (N, channels) int16, half of full scale."""
    wave = np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)
    return np.repeat(np.round(16_384 * wave).astype(np.int16)[:, None], channels, axis=1)


def click(seconds: float, at: float, rate: int = 16_000, channels: int = 2) -> np.ndarray:
    """Silence with 50 ms of loud tone from second `at`, (N, channels) int16."""
    sound = np.zeros((round(seconds * rate), channels), dtype=np.int16)
    begin = round(at * rate)
    burst = tone(0.05, rate, 1000.0, channels)
    sound[begin : begin + len(burst)] = burst
    return sound


def write_media(
    path: Path,
    pictures: Sequence[np.ndarray] = (),
    times: Sequence[float] | None = None,
    *,
    fps: float | Fraction = 10,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    aspect: Fraction | None = None,
    colours: tuple[Colorspace, ColorRange] = (Colorspace.ITU601, ColorRange.MPEG),
    sound: np.ndarray | None = None,
    rate: int = 16_000,
    audio_codec: str = "aac",
    layout: str | None = None,
    sound_start: float = 0.0,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Write a media file.

    Args:
        path: its name; the ending chooses the container.
        pictures: (H, W, 3) RGB or (H, W, 4) RGBA uint8.
        times: presentation times in seconds, by default 0, 1 / fps, 2 / fps, …
        fps: frames per second, announced and used without `times`.
        codec, pix_fmt, options: of the pictures.
        aspect: width over height of a pixel.
        colours: matrix and range of the YUV pictures, used and tagged.
        sound: (N, channels) int16, None for no sound track.
        rate, audio_codec, layout: of the sound.
        sound_start: presentation time of the first sample, in seconds.
        container_options: of the container.
    """
    matrix, span = colours
    frame_rate = Fraction(fps).limit_denominator(10_000)
    with av.open(str(path), "w", options=container_options or {}) as output:
        video = audio = None
        if len(pictures):
            video = output.add_stream(codec, rate=frame_rate, options=options or {})
            video.height, video.width = pictures[0].shape[:2]
            video.pix_fmt = pix_fmt
            video.codec_context.time_base = Fraction(1, _TICKS) if times is not None else 1 / frame_rate
            video.codec_context.colorspace = matrix
            video.codec_context.color_range = span
            if aspect is not None:
                video.codec_context.sample_aspect_ratio = aspect
        if sound is not None:
            layout = layout or ("mono", "stereo")[sound.shape[1] - 1]
            audio = output.add_stream(audio_codec, rate=rate, layout=layout)
        if audio is not None and sound is not None:
            for at in range(0, len(sound), 1024):
                samples = np.ascontiguousarray(sound[at : at + 1024].reshape(1, -1))
                frame = av.AudioFrame.from_ndarray(samples, format="s16", layout=layout)
                frame.sample_rate = rate
                frame.time_base = Fraction(1, rate)
                frame.pts = round(sound_start * rate) + at
                output.mux(audio.encode(frame))
            output.mux(audio.encode(None))
        if video is not None:
            for number, picture in enumerate(pictures):
                frame = av.VideoFrame.from_ndarray(picture, format="rgba" if picture.shape[2] == 4 else "rgb24")
                frame = frame.reformat(format=pix_fmt, dst_colorspace=matrix, dst_color_range=span)
                frame.time_base = video.codec_context.time_base
                frame.pts = number if times is None else round(times[number] * _TICKS)
                output.mux(video.encode(frame))
            output.mux(video.encode(None))
    return path


def write_clip(path: Path, seconds: float = 2.0, **changes: object) -> Path:
    """Write numbered pictures at 10 per second with a stereo tone, or what `changes` say; see `write_media`."""
    defaults: dict[str, object] = {
        "pictures": [numbered(number) for number in range(round(seconds * 10))],
        "sound": tone(seconds),
    }
    return write_media(path, **(defaults | changes))  # type: ignore[arg-type]


def turn(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Set the display matrix of the tracks of an MP4: x' = a·x + c·y, y' = b·x + d·y."""
    data = bytearray(path.read_bytes())
    at = data.find(b"tkhd")
    while at >= 0:
        struct.pack_into(">5i", data, at + 44, a << 16, b << 16, 0, c << 16, d << 16)
        at = data.find(b"tkhd", at + 4)
    path.write_bytes(data)
    return path


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Damage a file: cut it, flip bits, zero a block, put noise into the header, or copy a block elsewhere."""
    kind = rng.integers(6)
    changed = bytearray(data)
    size = len(data)
    if kind == 0:
        return bytes(changed[: rng.integers(1, size)])
    if kind in (1, 2):
        reach = size if kind == 1 else min(size, 2048)
        for at in rng.integers(0, reach, rng.integers(1, 60)):
            changed[at] ^= 1 << int(rng.integers(8))
    elif kind == 3:
        at = int(rng.integers(size))
        changed[at : at + 2000] = bytes(len(changed[at : at + 2000]))
    elif kind == 4:
        at = int(rng.integers(min(size, 1500)))
        block = rng.bytes(int(rng.integers(1, 64)))
        changed[at : at + len(block)] = block
    else:
        at, to = (int(place) for place in rng.integers(0, size, 2))
        changed[to : to + 300] = changed[at : at + 300]
    return bytes(changed)
