"""Import of masks into a session: `result.json`, COCO, or an archive of PNG files; the files are untrusted."""

from __future__ import annotations

import bisect
import io
import re
import zipfile
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from auralsam2.errors import InputError
from auralsam2.outputs import rle
from auralsam2.outputs.result_json import SCHEMA
from auralsam2.studio import mask_codec
from auralsam2.studio.added_objects import ObjectCollector
from auralsam2.studio.commands import MAX_OBJECTS, ImportCommand
from auralsam2.studio.restore import archive_errors, read_member
from auralsam2.studio.session_state import SessionState
from auralsam2.studio.storage import StoredClip
from auralsam2.utils import json_stream, strict_json

_MEMBER = re.compile(r"(?:.*/)?(?:([0-9]{1,3})/)?([0-9]{1,6})\.png")
_MAX_PNG = 64 << 20
_MAX_NAME = 80
_KIND = "an undamaged archive of masks"
_REMEDY = "choose result.json, a COCO file, or a .zip of PNG masks named by frame"


class _Mask(NamedTuple):
    """Mask of an object on a frame."""

    key: Hashable
    name: str
    tick: int
    mask: np.ndarray
    sounding: bool


def import_masks(file: Path, state: SessionState) -> None:
    """Add the objects of a file to a session, as one step that can be undone.

    Args:
        file: `result.json` of `auralsam2 segment`; COCO with run lengths or polygons, whose images have a `time`, a
            `frame_id` or the order of the frames; or an archive of PNG files, `TICK.png` or `OBJECT/TICK.png` with the
            object in white, or label images such as those of DAVIS.
        state: state of the session.

    Raises:
        InputError: the file is none of these, is damaged, or has masks of another size.
        UsageError: the session has too many objects or steps.
    """
    clip = state.clip
    state.log.check_capacity()
    try:
        with ObjectCollector(state) as objects:
            for item in _read(file, clip):
                limit = np.float32(mask_codec.MAX_LOGIT)
                logits = np.where(item.mask, limit, -limit)
                objects.add(item.key, item.tick, item.mask, logits, sounding=item.sounding)
                objects.name(item.key, item.name[:_MAX_NAME])
            if not len(objects):
                raise InputError(f"the file has no mask of this clip: {_REMEDY}")
            objects.store(ImportCommand, range(0))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise InputError(f"the file is damaged: {_REMEDY}") from error


def _read(file: Path, clip: StoredClip) -> Iterator[_Mask]:
    if zipfile.is_zipfile(file):
        return _read_archive(file, clip)
    with file.open("rb") as opened:
        head = opened.read(200)
    if SCHEMA.encode() in head:
        return _read_result(file, clip)
    try:
        document = strict_json.read_json(file)
    except ValueError as error:
        raise InputError(f"no masks that the studio reads ({error}): {_REMEDY}") from error
    if not isinstance(document, dict) or not isinstance(document.get("annotations"), list):
        raise InputError(f"no masks that the studio reads: {_REMEDY}")
    return _read_coco(document, clip)


def _read_result(file: Path, clip: StoredClip) -> Iterator[_Mask]:
    seen = set()
    for member, row in json_stream.read_object(file):
        if member != "frames":
            continue
        key, tick = row["object_id"], _tick_at(row["time"], clip)
        if (key, tick) not in seen:
            seen.add((key, tick))
            name = str(row.get("label") or "")
            yield _Mask(key, name, tick, _decode(row["rle"], clip), bool(row["sounding"]))


def _read_coco(document: dict[str, Any], clip: StoredClip) -> Iterator[_Mask]:
    ticks: dict[Any, int] = {}
    for position, image in enumerate(document["images"]):
        time, number = image.get("time"), image.get("frame_id", position)
        ticks[image["id"]] = _known_tick(number, clip) if time is None else _tick_at(time, clip)
    names = {category["id"]: str(category["name"]) for category in document.get("categories", [])}
    for annotation in document["annotations"]:
        shape, category = annotation["segmentation"], annotation.get("category_id")
        if not isinstance(shape, dict):
            shape = rle.encode_polygons(shape, clip.height, clip.width)
        mask = _decode(shape, clip)
        key = annotation.get("track_id", category)
        yield _Mask(key, names.get(category, ""), ticks[annotation["image_id"]], mask, False)


def _read_archive(file: Path, clip: StoredClip) -> Iterator[_Mask]:
    with archive_errors(_KIND, _REMEDY):
        archive = zipfile.ZipFile(file)
    with archive:
        members = [(match, name) for name in archive.namelist() if (match := _MEMBER.fullmatch(name))]
        for match, name in members:
            values = _pixels(read_member(archive, name, _MAX_PNG, _KIND, _REMEDY), clip)
            tick = _known_tick(int(match[2]), clip)
            present = np.unique(values).tolist()
            if len(present) > MAX_OBJECTS:
                raise InputError(f"{name} has {len(present)} values: {_REMEDY}")
            for value in present:
                if value:
                    key = match[1] or str(value)
                    yield _Mask(key, "", tick, values == value, False)


def _pixels(data: bytes, clip: StoredClip) -> np.ndarray:
    """Return the values of a label image, or 0 and 1 of a mask in black and white, (H, W)."""
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
            if picture.size != (clip.width, clip.height):
                raise _wrong_size(picture.size, clip)
            if picture.mode == "P" or picture.mode.startswith("I"):
                return np.asarray(picture)
            return (np.asarray(picture.convert("L")) > 127).astype(np.uint8)
    except (OSError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise InputError(f"a PNG in the archive is damaged: {_REMEDY}") from error


def _decode(coded: Mapping[str, Any], clip: StoredClip) -> np.ndarray:
    """Decode run lengths of COCO, compressed or not, without trusting them."""
    height, width = coded["size"]
    if (width, height) != (clip.width, clip.height):
        raise _wrong_size((width, height), clip)
    counts = coded["counts"]
    runs = np.array(_runs(counts) if isinstance(counts, str) else counts, np.int64)
    if runs.ndim != 1 or (runs < 0).any() or runs.max(initial=0) > width * height or runs.sum() != width * height:
        raise ValueError("these run lengths do not fill the picture")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T


def _runs(text: str) -> list[int]:
    """Decode COCO's text of run lengths: 5 bits a letter, from the third run on as differences from the one before."""
    runs: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64 or shift > 40:
            raise ValueError("no run lengths")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    return runs


def _tick_at(time: float, clip: StoredClip) -> int:
    """Return the frame whose picture is nearest to a time in seconds."""
    right = bisect.bisect_left(clip.times, float(time))
    around = [tick for tick in (right - 1, right) if 0 <= tick < len(clip.times)]
    return min(around, key=lambda tick: abs(clip.times[tick] - time))


def _known_tick(number: int, clip: StoredClip) -> int:
    if not 0 <= number < len(clip.times):
        last = len(clip.times) - 1
        raise InputError(f"a mask of frame {number}: the clip has frames 0 to {last}: open it at the rate of the masks")
    return number


def _wrong_size(size: tuple[int, int], clip: StoredClip) -> InputError:
    return InputError(f"masks of {size[0]}x{size[1]} pixels: the clip has {clip.width}x{clip.height}")
