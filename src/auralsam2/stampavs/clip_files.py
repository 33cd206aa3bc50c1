"""The files of one clip."""

from __future__ import annotations

import json
import wave
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from auralsam2.stampavs.expressions import Expression
from auralsam2.stampavs.scene import Scene, SceneObject, SourceTrack
from auralsam2.types import AUDIO_RATE

_QUALITY = 92


@dataclass(frozen=True, kw_only=True)
class ClipRows:
    """What the two tables of the tree say of a clip.

    Attributes:
        clip: uid, split, mix, kind, frames, objects.
        expressions: vid, uid, split, fid, exp of each sentence.
    """

    clip: tuple[str, str, str, str, int, int]
    expressions: tuple[tuple[str, str, str, int, str], ...]


def slug(name: str) -> str:
    """A name as part of a uid: letters, digits and hyphens."""
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name)


def save_clip(media: Path, masks: Path, uid: str, split: str, scene: Scene, expressions: list[Expression]) -> None:
    """Write a clip.

    Frames are JPEG, as in AVSBench and Ref-AVS: smaller than PNG, and faster to write and to read.

    Args:
        media: folder for frames, sound and description; must not exist.
        masks: folder for the masks; must not exist.
        uid: the clip's.
        split: its split.
        scene: what to write.
        expressions: sentences about it.

    Raises:
        OSError: a file cannot be written.
    """
    (media / "frames").mkdir(parents=True)
    for number, frame in enumerate(scene.frames):
        Image.fromarray(frame).save(media / "frames" / f"{number}.jpg", quality=_QUALITY, subsampling=0)
    save_sound(media / "audio.wav", scene.samples)
    layers = {"sounding": scene.target}
    layers |= {f"fid_{thing.fid}": mask for thing, mask in zip(scene.things, scene.masks, strict=True)}
    for name, layer in layers.items():
        (masks / name).mkdir(parents=True)
        for number, mask in enumerate(layer):
            Image.fromarray(mask.astype(np.uint8) * 255).save(masks / name / f"{number:05d}.png", compress_level=1)
    description = describe_clip(uid, split, scene, expressions)
    text = json.dumps(description, indent=1, ensure_ascii=False)
    (media / "scene.json").write_text(text + "\n", encoding="utf-8", newline="\n")


def describe_clip(uid: str, split: str, scene: Scene, expressions: list[Expression]) -> dict[str, Any]:
    """All that is known of a clip, as `scene.json` holds it; lengths in pixels, one entry a frame."""
    names = {thing.fid: slug(thing.category) for thing in scene.things} | {0: "null"}
    return {
        "uid": uid,
        "split": split,
        "mix": scene.mix,
        "kind": scene.kind,
        "frames": len(scene.frames),
        "size": scene.frames.shape[1],
        "background": scene.background,
        "objects": [_thing(thing) for thing in scene.things],
        "offscreen": [_track(track) for track in scene.offscreen],
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
    """The lines of the tables, from what `describe` gave."""
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


def _thing(thing: SceneObject) -> dict[str, Any]:
    track = thing.track
    return {
        "fid": thing.fid,
        "category": thing.category,
        "stamp": thing.stamp,
        "can_sound": thing.role.category is not None,
        "sounding": [bool(value) for value in track.sounding] if track else [False] * len(thing.pan),
        "recording": track.recording if track else None,
        "level_db": round(track.level, 2) if track else None,
        "pan": [round(float(value), 4) for value in thing.pan],
        "area": [int(value) for value in thing.areas],
        "box": [[int(value) for value in box] for box in thing.boxes],
    }


def _track(track: SourceTrack) -> dict[str, Any]:
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
