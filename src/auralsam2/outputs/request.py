"""Hash of a request: `--resume` skips inputs whose result has an equal hash."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from auralsam2.outputs.postprocessing import PostProcessing
from auralsam2.types import Prompts
from auralsam2.utils.json_stream import dump
from auralsam2.version import __version__

_END_BYTES = 2**20


def request_hash(
    video: Path,
    *,
    weights: str,
    prompts: Prompts,
    audio: Path | str,
    fps: float | None,
    start: float,
    end: float | None,
    dtype: str,
    save: Collection[str],
    backend: str = "torch",
    image_size: int | None = None,
    audio_track: int | str | None = None,
    overlay_rate: str = "processed",
    postprocessing: PostProcessing | None = None,
    separate: bool = False,
    namer: str | None = None,
    identity: str | None = None,
) -> str:
    """Return a hash of everything that a result depends on, including the version of this package.

    Video and audio file are identified by size, modification time and their first and last MiB, regardless of their
    path; mask files by their content; the model by its weights.

    Args:
        video: input.
        weights: as `hub.download.weights_hash` returns it.
        prompts: points, boxes, masks and text.
        audio: `track`, `none` or a file.
        fps: processed frames per second; None for every frame.
        start: first processed second.
        end: last processed second; None for the end of the video.
        dtype: fp32, bf16 or fp16.
        save: kinds of files to write.
        backend: torch or openvino.
        image_size: side of the network's input in pixels; None for the model's own.
        audio_track: number or language of the audio track; None for the default one.
        overlay_rate: `processed` or `source`.
        postprocessing: steps of post-processing; None for none.
        separate: each source is an object of its own.
        namer: hash of the weights of the namer; None without names.
        identity: text that identifies the content of the video, which is then not read; None for the file itself.

    Returns:
        64 hexadecimal digits.

    Raises:
        OSError: a file cannot be read.
    """
    request: dict[str, Any] = {
        "version": __version__,
        "weights": weights,
        "video": _file_identity(video) if identity is None else identity,
        "audio": _file_identity(audio) if isinstance(audio, Path) else audio,
        "audio_track": audio_track,
        "prompts": [(number, _identity(one)) for number, one in ((0, prompts.own), *prompts.objects)],
        "fps": fps,
        "start": start,
        "end": end,
        "dtype": dtype,
        "backend": backend,
        "image_size": image_size,
        "save": sorted(save),
        "overlay_rate": overlay_rate,
        "postprocessing": postprocessing or PostProcessing(),
        "separate": separate,
        "namer": namer,
    }
    return hashlib.sha256(dump(request).encode()).hexdigest()


def _identity(prompts: Prompts) -> tuple[Any, ...]:
    """Return the prompts of one object, with the content of mask files in place of their names."""
    masks = [(hashlib.sha256(mask.path.read_bytes()).hexdigest(), mask.time, mask.value) for mask in prompts.masks]
    return prompts.points, prompts.boxes, masks, prompts.text


def _file_identity(path: Path) -> tuple[int, int, str]:
    """Return size in bytes, modification time in nanoseconds, and a hash of both ends of a file."""
    status = path.stat()
    with path.open("rb") as file:
        digest = hashlib.sha256(file.read(_END_BYTES))
        if status.st_size > _END_BYTES:
            file.seek(max(_END_BYTES, status.st_size - _END_BYTES))
            digest.update(file.read(_END_BYTES))
    return status.st_size, status.st_mtime_ns, digest.hexdigest()
