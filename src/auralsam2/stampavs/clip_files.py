"""Files of one clip."""

from __future__ import annotations

import json
import wave
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from auralsam2.errors import OutputError
from auralsam2.stampavs.expressions import Expression
from auralsam2.stampavs.scene import Scene, SceneObject, SourceTrack
from auralsam2.types import AUDIO_RATE
from auralsam2.utils import strict_json

_QUALITY = 92


@dataclass(frozen=True, kw_only=True)
class ClipRows:
    """Rows of a clip in the tables: uid, split, mix, kind, frames, objects.

    And vid, uid, split, fid, exp of each expression.
    """

    clip: tuple[str, str, str, str, int, int]
    expressions: tuple[tuple[str, str, str, int, str], ...]


def slug(name: str) -> str:
    """Convert a name to a part of a uid: letters, digits and hyphens."""
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name)


def save_clip(media: Path, masks: Path, uid: str, split: str, scene: Scene, expressions: list[Expression]) -> None:
    """Write frames, audio and description of a clip to `media`, and its masks to `masks`; neither folder may exist.

    Frames are JPEG, as in AVSBench and Ref-AVS, which are smaller and faster than PNG.
    """
    (media / "frames").mkdir(parents=True)
    for number, frame in enumerate(scene.frames):
        Image.fromarray(frame).save(media / "frames" / f"{number}.jpg", quality=_QUALITY, subsampling=0)
    save_sound(media / "audio.wav", scene.samples)
    layers = {"sounding": scene.target}
    layers |= {f"fid_{item.fid}": mask for item, mask in zip(scene.objects, scene.masks, strict=True)}
    for name, layer in layers.items():
        (masks / name).mkdir(parents=True)
        for number, mask in enumerate(layer):
            Image.fromarray(mask.astype(np.uint8) * 255).save(masks / name / f"{number:05d}.png", compress_level=1)
    description = describe_clip(uid, split, scene, expressions)
    text = json.dumps(description, indent=1, ensure_ascii=False)
    (media / "scene.json").write_text(text + "\n", encoding="utf-8", newline="\n")


def build_clip(
    root: Path, staging: Path, uid: str, split: str, draw_clip: Callable[[], tuple[Scene, list[Expression]]]
) -> ClipRows:
    """Build a clip in `staging`, move it to the data set `root` unless it exists there, and return its table rows.

    Raises:
        OutputError: the description of an existing clip is damaged.
    """
    media, masks = root / "media" / uid, root / "gt_mask" / uid
    if media.is_dir() and masks.is_dir():
        try:
            return clip_rows(strict_json.read_json(media / "scene.json"))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OutputError(f"{media}: scene.json is damaged ({error}): delete this folder") from error
    scene, expressions = draw_clip()
    hidden = staging / uid
    save_clip(hidden / "media", hidden / "gt_mask", uid, split, scene, expressions)
    if not masks.is_dir():
        (hidden / "gt_mask").rename(masks)
    (hidden / "media").rename(media)
    return clip_rows(describe_clip(uid, split, scene, expressions))


def describe_clip(uid: str, split: str, scene: Scene, expressions: list[Expression]) -> dict[str, Any]:
    """Return the content of `scene.json`; lengths in pixels, one entry per frame."""
    names = {item.fid: slug(item.category) for item in scene.objects} | {0: "null"}
    return {
        "uid": uid,
        "split": split,
        "mix": scene.mix,
        "kind": scene.kind,
        "frames": len(scene.frames),
        "size": scene.frames.shape[1],
        "background": scene.background,
        "objects": [_object_values(item) for item in scene.objects],
        "offscreen": [_track_values(track) for track in scene.offscreen],
        "expressions": [
            {
                "uid": f"{uid}_{names[expression.fid]}_{number}",
                "fid": expression.fid,
                "exp": expression.text,
                "claim": {name: value for name, value in asdict(expression.claim).items() if value},
                "needs_sound": expression.needs_sound,
            }
            for number, expression in enumerate(expressions)
        ],
    }


def clip_rows(description: dict[str, Any]) -> ClipRows:
    """Return the table rows of a clip from the output of `describe_clip`."""
    uid, split = description["uid"], description["split"]
    return ClipRows(
        clip=(
            uid,
            split,
            description["mix"],
            description["kind"],
            description["frames"],
            len(description["objects"]),
        ),
        expressions=tuple((uid, item["uid"], split, item["fid"], item["exp"]) for item in description["expressions"]),
    )


def _object_values(item: SceneObject) -> dict[str, Any]:
    track = item.track
    return {
        "fid": item.fid,
        "category": item.category,
        "stamp": item.stamp,
        "can_sound": item.role.category is not None,
        "sounding": [bool(value) for value in track.sounding] if track else [False] * len(item.pan),
        "recording": track.recording if track else None,
        "level_db": round(track.level, 2) if track else None,
        "pan": [round(float(value), 4) for value in item.pan],
        "area": [int(value) for value in item.areas],
        "box": [[int(value) for value in box] for box in item.boxes],
    }


def _track_values(track: SourceTrack) -> dict[str, Any]:
    return {
        "category": track.category,
        "recording": track.recording,
        "level_db": round(track.level, 2),
        "sounding": [bool(value) for value in track.sounding],
    }


def save_sound(path: Path, samples: np.ndarray) -> None:
    """Write (n, 2) float in [-1, 1] as 16 kHz stereo PCM16."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(AUDIO_RATE)
        file.writeframes(np.round(samples * 32767).astype("<i2").tobytes())
