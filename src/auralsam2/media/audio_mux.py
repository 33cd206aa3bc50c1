"""Audio track of a written video: the packets of another file, shifted in time, or encoded again."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import av.error
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from auralsam2.errors import InputError
from auralsam2.media.audio_choice import AudioChoice, audio_stream
from auralsam2.media.audio_decoder import AudioChunk, read_chunks
from auralsam2.media.container import open_input
from auralsam2.media.encodings import AAC, AudioEncoding
from auralsam2.media.stream_decoder import DamageLog, Decoder
from auralsam2.media.write_error import write_error

if TYPE_CHECKING:
    from av.container import OutputContainer

_RUN_IN = 0.05
"""Seconds of packets copied before the start, which is where the codec settles; the file tells players to skip them."""


def mux_audio(
    output: OutputContainer,
    path: Path,
    start: float,
    end: float | None,
    choice: AudioChoice = None,
    encoding: AudioEncoding = AAC,
) -> Iterator[tuple[float, Any]]:
    """Add the audio track of a file to a video, and yield its packets for the muxer.

    Args:
        output: the video, before its header is written.
        path: a file with audio.
        start: second of the file that is 0 in the video.
        end: second of the file at which the audio stops; None for its own end.
        choice: number or language of the track; None for the default one.
        encoding: codecs that are copied, and the encoder of all others.

    Returns:
        An iterator over (time, packet), time in seconds of the video, rising. The stream is added at once.

    Raises:
        InputError: the file cannot be opened or has no audio that decodes.
    """
    with open_input(path) as container:
        stream = audio_stream(container, path, choice)
        if stream is None:
            raise InputError(f"{path}: no audio track")
        name = stream.codec_context.name
        rate = stream.codec_context.sample_rate
        copied = rate >= encoding.copied.get(name, math.inf)
        template = output.add_stream_from_template(stream) if copied else None
    stop = math.inf if end is None else end
    if template is not None:
        return _copied(template, path, start, stop, choice)
    rate = rate if rate in encoding.rates else 48_000
    bits = 160_000 if rate > 24_000 else 64_000
    encoder = output.add_stream(encoding.encoder, rate=rate, layout="stereo", bit_rate=bits)
    return _encoded(encoder, rate, path, start, stop, choice)


def _copied(target: Any, path: Path, start: float, end: float, choice: AudioChoice) -> Iterator[tuple[float, Any]]:
    with open_input(path) as container:
        stream = audio_stream(container, path, choice)
        if stream is None or stream.time_base is None:
            raise InputError(f"{path}: no audio track")
        with Decoder(container, stream, DamageLog(path, "sound")) as decoder:
            decoder.seek(start - 1.0)
            shift = round((decoder.zero + Fraction(start)) / stream.time_base)
            last: int | None = None
            for packet in decoder.packets():
                time = decoder.seconds(packet.pts)
                if time is None or packet.pts is None or packet.size == 0 or (start > 0 and time < start - _RUN_IN):
                    continue
                if time >= end:
                    return
                packet.pts -= shift
                packet.dts = packet.pts  # neither codec reorders
                if last is None or packet.pts > last:
                    last = packet.pts
                    packet.stream = target
                    yield time - start, packet


def _encoded(
    encoder: Any, rate: int, path: Path, start: float, end: float, choice: AudioChoice
) -> Iterator[tuple[float, Any]]:
    done = 0
    for samples in _unbroken(path, rate, start, end, choice):
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples.T), format="fltp", layout="stereo")
        frame.sample_rate = rate
        frame.time_base = Fraction(1, rate)
        frame.pts = done
        done += len(samples)
        for packet in encoder.encode(frame):
            yield done / rate, packet
    for packet in encoder.encode(None):
        yield done / rate, packet


def _unbroken(path: Path, rate: int, start: float, end: float, choice: AudioChoice) -> Iterator[np.ndarray]:
    """Yield the sound of [start, end) at `rate` as (N, 2) float32 pieces without gaps, the first sample at start."""
    done = 0
    limit = math.inf if math.isinf(end) else round((end - start) * rate)
    for at, samples in _at_rate(path, rate, start, choice):
        while at > done and done < limit:
            silence = int(min(at - done, rate, limit - done))
            yield np.zeros((silence, 2), dtype=np.float32)
            done += silence
        piece = samples[max(0, done - at) :]
        if done + len(piece) > limit:
            piece = piece[: int(limit) - done]
        if len(piece):
            yield piece
            done += len(piece)
        if done >= limit:
            return


def _at_rate(path: Path, rate: int, start: float, choice: AudioChoice) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (position, samples) at `rate`, positions counted from start."""
    resampler = AudioResampler("fltp", "stereo", rate)
    run: tuple[int, int] | None = None  # rate and next position of the run of chunks that the resampler is in
    at = 0
    for chunk in read_chunks(path, DamageLog(path, "sound"), start, choice):
        if chunk.rate == rate:
            yield chunk.first - round(start * rate), chunk.samples
            continue
        if run != (chunk.rate, chunk.first):
            resampler = AudioResampler("fltp", "stereo", rate)
            at = round((chunk.first / chunk.rate - start) * rate)
        run = (chunk.rate, chunk.first + len(chunk.samples))
        for piece in resampler.resample(_frame(chunk)):
            samples = piece.to_ndarray().T
            yield at, samples
            at += len(samples)


def _frame(chunk: AudioChunk) -> AudioFrame:
    frame = AudioFrame.from_ndarray(np.ascontiguousarray(chunk.samples.T), format="fltp", layout="stereo")
    frame.sample_rate = chunk.rate
    return frame


def write_audio(path: Path, video: Path, advance: Callable[[float], None]) -> None:
    """Write the first sound track of a video as M4A: AAC and MP3 as they are, anything else as AAC.

    The file appears whole or not at all. Second 0 of it is that of the pictures; gaps are silence. It ends where the
    sound does.

    Args:
        path: the file.
        video: has the sound.
        advance: told the second that was reached; what it raises stops the work.

    Raises:
        InputError: the video cannot be opened or has no sound that decodes.
        OutputError: the file cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        with av.open(f"file:{part}", mode="w", format="mp4", options={"movflags": "+faststart"}) as output:
            for second, packet in mux_audio(output, video, 0.0, None):
                output.mux(packet)
                advance(second)
        part.replace(path)
    except (OSError, av.error.FFmpegError) as error:
        raise write_error(path, error) from error
    finally:
        part.unlink(missing_ok=True)
