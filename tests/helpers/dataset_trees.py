"""Writes tiny data sets in exactly the published layouts: small pictures, one to ten frames, tones as sound.

Each `write_…` takes the folder to fill and gives the folder to hand to `--root`. Its rows have defaults that suit any
test: two or three clips a split, each object a rectangle that wanders.
"""

from __future__ import annotations

import json
import wave
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from helpers.media_files import tone

SIZE = (35, 27)
DOG, GUITAR = 17, 28
"""Two classes of AVSBench-semantic."""

AVSBENCH = (
    ("v1s", "aaaaaaaaaaa_0_5000", "train"),
    ("v1m", "ddddddddddd", "train"),
    ("v2", "hhhhhhhhhhh_3000_13000", "train"),
    ("v2", "-_hhhhhhhhh_1000_11000", "test"),
    ("v1s", "bb-bbbbbb_b_5000_10000", "test"),
    ("v1m", "eeeeeeeeeee_1", "test"),
    ("v1s", "ccccccccccc_0_5000", "test"),
    ("v1m", "fffffffffff", "test"),
    ("v1s", "ggggggggggg_0_5000", "val"),
)
"""Rows of the semantic release: label, uid, split; not in the order of the labels."""

S4 = (
    ("aaaaaaaaaaa_0_5000", "dog_barking", "train"),
    ("bb-bbbbbb_b_5000_10000", "dog_barking", "test"),
    ("ccccccccccc_0_5000", "horse_clip-clop", "test"),
)
MS3 = (("ddddddddddd", "train"), ("eeeeeeeeeee_1", "test"), ("fffffffffff", "test"))

REF_AVS = (
    ("mmmmmmmmmmm_0_10000", "mmmmmmmmmmm_0_10000_dog_1", "train", 1, "the dog, that barks"),
    ("mmmmmmmmmmm_0_10000", "null_c-mmmmmmmmmmm_0_10000_null_0", "train", 0, "The object making the loudest sound"),
    ("nnnnnnnnnnn_0_10000", "nnnnnnnnnnn_0_10000_guitar_1", "val", 1, "The guitar"),
    ("o_ooooooooo_0_10000", "o_ooooooooo_0_10000_dog_1", "test_s", 1, "The dog on the left"),
    ("o_ooooooooo_0_10000", "o_ooooooooo_0_10000_guitar_2", "test_s", 2, "What is plucked, not the dog"),
    ("ppppppppppp_0_10000", "ppppppppppp_0_10000_tuba_1", "test_u", 1, "The tuba"),
    ("ppppppppppp_0_10000", "ppppppppppp_0_10000_tuba_1", "test_u", 2, "The other tuba"),
    ("o_ooooooooo_0_10000", "null_m-o_ooooooooo_0_10000_null_0", "test_n", 0, "The object making the loudest sound"),
    ("ppppppppppp_0_10000", "null_c-ppppppppppp_0_10000_null_3", "test_n", 0, "The first sounding object"),
    ("qqqqqqqqqqq_0_10000", "qqqqqqqqqqq_0_10000_dog_1", "TODO", 1, "not finished"),
)
"""Rows of Ref-AVS: vid, uid, split, fid, exp. Null clips of kind `m` have masks, all black, those of kind `c` none."""

VPO_SS = ((139, 98, "dog", 18, "dog_1", "train", 0.25), (285, 7, "cell phone", 77, "phone_1", "val", 0.5))
VPO_MS = ((139, 98, "dog", 18, "dog_1", "train", 0.25, 0), (872, 7, "cat", 17, "cat_1", "test", 0.75, 0),
          (872, 7, "baby", 94, "baby_1", "test", 0.0, 0))  # fmt: skip
VPO_MSMI = (*VPO_MS, (999, 12, "dog", 18, "dog_1", "val", 1.0, 1), (999, 12, "cat", 17, "cat_1", "val", 0.5, 0))
"""Rows of VPO: img_Id, ann_Ids, cateName, cateId, vgg_file, split, audio_pos, and multi_instance."""

AVS_SYNTHETIC = (
    ("i1", "picture_1", "dog", 3, "train", ""),
    ("i2", "picture_1", "cat", 4, "validate", "cat_1"),
    ("i3", "picture_2", "dog", 3, "test", "dog_2"),
)
"""Rows of AVS-Synthetic: inst_id, img_id, class name, class id, split, audio name."""

STAMPAVS_SPLITS = (
    "train", "val", "test-seen", "test-new-image", "test-new-sound", "test-unseen", "test-null", "test-robust",
)  # fmt: skip
STAMPAVS = (
    ("train_00000", "train", "standard", "single", 5),
    ("test-seen_00000", "test-seen", "standard", "single", 5),
    ("test-seen_00001", "test-seen", "standard", "silence", 5),
    ("test-seen_hard_00000", "test-seen", "hard", "multi", 10),
    ("test-null_00000", "test-null", "standard", "off-screen", 5),
)
"""Scenes of StampAVS: uid, split, mix, kind, frames. There are two objects, of which the first sounds, unless the kind
is `silence` or `off-screen`."""

# Unpickled, it would end the program.
_EVIL_PICKLE = b"cbuiltins\nexec\n(S'raise SystemExit(99)'\ntR."


def rectangle(number: int, size: tuple[int, int] = SIZE, place: int = 0) -> np.ndarray:
    """Where an object is in frame `number`: (H, W) bool."""
    width, height = size
    mask = np.zeros((height, width), dtype=bool)
    left = (3 + 2 * number + place * width // 2) % (width - width // 3)
    mask[height // 4 : height // 4 + height // 3, left : left + width // 3] = True
    return mask


def write_picture(path: Path, pixels: np.ndarray) -> Path:
    """Write a picture; (H, W) bool becomes 0 and 255."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * 255
    Image.fromarray(pixels).save(path, **({"quality": 95} if path.suffix == ".jpg" else {}))
    return path


def frame(number: int, size: tuple[int, int] = SIZE, masks: Sequence[np.ndarray] = ()) -> np.ndarray:
    """A grey ramp with the objects in colours: (H, W, 3) uint8."""
    width, height = size
    ramp = np.linspace(40, 120, width, dtype=np.uint8) + np.uint8(number)
    image = np.repeat(np.repeat(ramp[None, :, None], height, axis=0), 3, axis=2)
    for mask, colour in zip(masks, ((220, 40, 40), (40, 220, 40)), strict=False):
        image[mask] = colour
    return image


def write_wav(path: Path, seconds: float, *, rate: int = 16_000, channels: int = 2, frequency: float = 440.0) -> Path:
    """Write a tone as PCM of 16 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(tone(seconds, rate, frequency, channels).astype("<i2").tobytes())
    return path


def write_csv(path: Path, header: str, rows: Iterable[Sequence[object]], *, ending: str = "\n") -> Path:
    """Write a csv file; a text with a comma or a quote in it is quoted."""
    path.parent.mkdir(parents=True, exist_ok=True)

    def cell(value: object) -> str:
        text = str(value)
        return '"' + text.replace('"', '""') + '"' if {",", '"'} & set(text) else text

    lines = [header, *(",".join(map(cell, row)) for row in rows)]
    path.write_text("".join(line + ending for line in lines), encoding="utf-8", newline="")
    return path


def colour_of(number: int) -> tuple[int, int, int]:
    """The colour of a class of AVSBench-semantic, worked out bit by bit, apart from the code under test."""
    bits = f"{number:09b}"[::-1]
    red, green, blue = (sum(int(bits[3 * step + channel]) << (7 - step) for step in range(3)) for channel in range(3))
    return red, green, blue


def write_avsbench(
    root: Path,
    clips: Sequence[tuple[str, str, str]] = AVSBENCH,
    *,
    index: str = "metadata.csv",
    ending: str = "\n",
    size: tuple[int, int] = SIZE,
    rate: int = 16_000,
) -> Path:
    """The semantic release; `index="avss_index/metadata.csv"` for AuralSAM2's arrangement.

    The last frame of a V1M clip has no object.
    """
    rows = [(uid[:11], uid, 0, 0, "dog_guitar", split, label) for label, uid, split in clips]
    write_csv(root / index, "vid,uid,s_min,s_sec,a_obj,split,label", rows, ending=ending)
    (root / "label2idx.json").write_text(json.dumps({"background": 0, "dog": DOG, "guitar": GUITAR}))
    for label, uid, split in clips:
        folder = root / label / uid
        count = 10 if label == "v2" else 5
        write_wav(folder / "audio.wav", count, rate=rate)
        for number in range(count):
            masks = [rectangle(number, size), rectangle(number, size, 1)]
            write_picture(folder / "frames" / f"{number}.jpg", frame(number, size, masks))
            if label == "v1s" and split == "train" and number:
                continue
            kinds = np.zeros(size[::-1], dtype=np.uint8)
            if label != "v1m" or number < count - 1:
                kinds[masks[1]] = GUITAR if label != "v1s" else 0
                kinds[masks[0]] = DOG
            colours = np.array([colour_of(each) for each in range(71)], dtype=np.uint8)
            write_picture(folder / "labels_rgb" / f"{number}.png", colours[kinds])
            write_picture(folder / "labels_semantic" / f"{number}.png", kinds)
    return root


def write_object_release(
    root: Path,
    s4: Sequence[tuple[str, str, str]] = S4,
    ms3: Sequence[tuple[str, str]] = MS3,
    *,
    size: tuple[int, int] = (224, 224),
) -> Path:
    """The object release: `Single-source` and `Multi-sources` in one folder."""
    single = root / "Single-source"
    write_csv(single / "s4_meta_data.csv", "name,start,category,split", [(n, 0, c, s) for n, c, s in s4])
    for name, category, split in s4:
        place = f"{split}/{category}/{name}"
        data = single / "s4_data"
        write_wav(data / "audio_wav" / f"{place}.wav", 5)
        _write_pickle(data / "audio_log_mel" / f"{place}.pkl")
        for k in range(1, 6):
            write_picture(data / "visual_frames" / place / f"{name}_{k}.png", frame(k, size, [rectangle(k, size)]))
            if split != "train" or k == 1:
                write_picture(data / "gt_masks" / place / f"{name}_{k}.png", rectangle(k, size))
    multi = root / "Multi-sources"
    write_csv(multi / "ms3_meta_data.csv", "video_id,split", ms3)
    for video, split in ms3:
        data = multi / "ms3_data"
        write_wav(data / "audio_wav" / split / f"{video}.wav", 5)
        _write_pickle(data / "audio_log_mel" / split / f"{video}.pkl")
        for k in range(1, 6):
            masks = [rectangle(k, size), rectangle(k, size, 1)]
            write_picture(data / "visual_frames" / video / f"{video}.mp4_{k}.png", frame(k, size, masks))
            label = (masks[0] | masks[1]) & (k < 5)
            write_picture(data / "gt_masks" / split / video / f"{video}_{k}.png", label)
    return root


def write_ref_avs(
    root: Path,
    rows: Sequence[tuple[str, str, str, int, str]] = REF_AVS,
    *,
    size: tuple[int, int] = SIZE,
    seconds: float = 10.0,
) -> Path:
    """Ref-AVS; the csv has the line ends of the published one."""
    write_csv(root / "metadata.csv", "vid,uid,split,fid,exp", rows, ending="\r\n")
    for _vid, uid, _split, fid, _exp in rows:
        clip = uid.rsplit("_", 2)[0]
        sound = root / "media" / clip / "audio.wav"
        for number in range(10):
            masks = [rectangle(number, size), rectangle(number, size, 1)]
            if not sound.exists():
                write_picture(root / "media" / clip / "frames" / f"{number}.jpg", frame(number, size, masks))
            if fid or clip.startswith("null_m-"):
                label = masks[fid - 1] if fid else np.zeros(size[::-1], dtype=bool)
                write_picture(root / "gt_mask" / clip / f"fid_{fid}" / f"0000{number}.png", label)
        if not sound.exists():
            write_wav(sound, seconds)
    return root


def write_vpo(root: Path, *, size: tuple[int, int] = SIZE, seconds: float = 10.0) -> Path:
    """VPO-SS, VPO-MS and VPO-MSMI below `VPO`, beside `VGGSound`."""
    header = "img_Id,ann_Ids,cateName,cateId,vgg_file,split,audio_pos"
    tables = {"SS": VPO_SS, "MS": VPO_MS, "MSMI": VPO_MSMI}
    for name, rows in tables.items():
        folder = root / "VPO" / f"VPO-{name}"
        table = folder / f"vpo_{name.lower()}_data_stereo.csv"
        write_csv(table, header + ("" if name == "SS" else ",multi_instance"), rows)
        drawn: dict[str, np.ndarray] = {}
        for image, annotation, category, value, sound, *_ in rows:
            write_wav(root / "VGGSound" / "audios" / f"{sound}.wav", seconds, channels=1, frequency=300 + 10 * value)
            below = f"{category}/" if name == "SS" else ""
            masks = [rectangle(0, size), rectangle(0, size, 1)]
            file = folder / "mask" / f"{below}{image:012d}_{annotation:012d}.png"
            if name == "MSMI" and image != 999:
                continue  # lies in VPO-MS
            pixels = drawn.setdefault(file.name, np.zeros(size[::-1], dtype=np.uint8))
            pixels[masks[bool(pixels.any())]] = value
            pixels[0, 0] = 255
            write_picture(file, pixels)
            write_picture(folder / "data" / f"{below}{image:012d}.jpg", frame(0, size, masks))
    return root


def write_avs_synthetic(root: Path, *, size: tuple[int, int] = SIZE) -> Path:
    """AVS-Synthetic, with the pickle of the release and the JSON that replaces it."""
    header = "inst,img,x,y,category,category_id,source,z,audio,split"
    rows = [
        (i, img, 0, 0, name, number, "lvis", 0, audio, split) for i, img, name, number, split, audio in AVS_SYNTHETIC
    ]
    write_csv(root / "annotations.csv", header, rows)
    for instance, image, *_ in AVS_SYNTHETIC:
        write_picture(root / "images" / f"{image}.jpg", frame(0, size, [rectangle(0, size)]))
        path = root / "masks" / f"{instance}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rectangle(0, size)).save(path)  # one bit
    for name in ("dog_1", "dog_2", "cat_1"):
        write_wav(root / "audios" / f"{name}.wav", 10)
    _write_pickle(root / "category_for_vggsound_audios.pkl")
    (root / "category_for_vggsound_audios.json").write_text(json.dumps({"3": ["dog_1", "dog_2"], "4": ["cat_1"]}))
    return root


def write_stampavs(
    root: Path,
    scenes: Sequence[tuple[str, str, str, str, int]] = STAMPAVS,
    *,
    size: tuple[int, int] = SIZE,
    suffix: str = ".jpg",
) -> Path:
    """StampAVS: each scene with an expression for its first object and, in `test-null`, one for nothing."""
    root.mkdir(parents=True, exist_ok=True)
    counts = {
        split: {mix: sum(scene[1:3] == (split, mix) for scene in scenes) for mix in ("standard", "hard")}
        for split in STAMPAVS_SPLITS
    }
    (root / "stampavs.json").write_text(json.dumps({"schema": "stampavs/1", "seed": 0, "counts": counts}))
    write_csv(root / "metadata.csv", "uid,split,mix,kind,frames,objects", [(*scene, 2) for scene in scenes])
    expressions: list[tuple[str, str, str, int, str]] = []
    for clip, split, mix, kind, count in scenes:
        silent = kind in ("silence", "off-screen")
        write_wav(root / "media" / clip / "audio.wav", count)
        objects = [
            {"category": category, "sounding": [audible and not silent] * count}
            for category, audible in (("dog", True), ("violin", False))
        ]
        (root / "media" / clip / "scene.json").write_text(
            json.dumps({"mix": mix, "kind": kind, "frames": count, "objects": objects})
        )
        for number in range(count):
            masks = [rectangle(number, size), rectangle(number, size, 1)]
            write_picture(root / "media" / clip / "frames" / f"{number}{suffix}", frame(number, size, masks))
            folder = root / "gt_mask" / clip
            write_picture(folder / "sounding" / f"0000{number}.png", masks[0] & (not silent))
            for fid, mask in enumerate(masks, 1):
                write_picture(folder / f"fid_{fid}" / f"0000{number}.png", mask)
        if split == "test-null":
            expressions.append((clip, f"{clip}_null_0", split, 0, "the cat that meows"))
        else:
            expressions.append((clip, f"{clip}_dog_0", split, 1, "the dog that is barking"))
            expressions.append((clip, f"{clip}_guitar_1", split, 2, "the object that never makes a sound"))
    write_csv(root / "expressions.csv", "vid,uid,split,fid,exp", expressions)
    return root


def _write_pickle(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_EVIL_PICKLE)
