"""Pictures of docs/guide/export.md: one for each format, drawn from the exported files of the bundled clip.

python dev/export_pictures.py docs/images/exports
"""

from __future__ import annotations

import base64
import io
import json
import sys
import tempfile
import zlib
from pathlib import Path
from xml.etree import ElementTree

import av
import numpy as np
from PIL import Image, ImageDraw
from pycocotools import mask as coco_mask

import auralsam2
from auralsam2.outputs.cutouts import AlphaOptions
from auralsam2.outputs.export import WRITERS, ExportOptions, export_result
from auralsam2.outputs.formats import OUTPUT_FILES
from auralsam2.outputs.overlay import draw_overlay
from auralsam2.samples import demo_clip

FRAME, SECOND, SIDE = 5, 5.5, 192
"""Processed frame, its time in seconds, and side of the pictures in pixels."""
PINK, GREY, WHITE = (255, 64, 160), (200, 200, 200), (255, 255, 255)


def video_frame(path: Path, decoder: str | None = None) -> np.ndarray:
    """Return the frame of a video at `SECOND`, (H, W, 4) uint8 RGBA."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = av.CodecContext.create(decoder, "r") if decoder else stream.codec_context
        for packet in container.demux(stream):
            for frame in context.decode(packet):
                if frame.pts is not None and float(frame.pts * stream.time_base) >= SECOND:
                    return frame.to_ndarray(format="rgba")
    raise ValueError(f"{path}: ends before {SECOND} s")


def on_checkers(image: np.ndarray) -> Image.Image:
    """Return an RGBA image on a chequered background."""
    height, width = image.shape[:2]
    y, x = np.mgrid[:height, :width]
    checkers = np.where(((x // 16 + y // 16) % 2)[..., None], GREY, WHITE).astype(np.uint8)
    alpha = image[..., 3:] / 255
    return Image.fromarray(np.round(image[..., :3] * alpha + checkers * (1 - alpha)).astype(np.uint8))


def tinted(mask: np.ndarray, frame: np.ndarray) -> Image.Image:
    """Return a frame with a mask."""
    return Image.fromarray(draw_overlay(frame, mask.astype(np.bool_), PINK))


def cvat_mask(path: Path, frame: np.ndarray) -> np.ndarray:
    """Decode the mask of an image of CVAT."""
    element = ElementTree.parse(path).getroot().find(f"image[@id='{FRAME}']/mask")
    mask = np.zeros(frame.shape[:2], np.bool_)
    if element is not None:
        left, top, width, height = (int(element.attrib[name]) for name in ("left", "top", "width", "height"))
        runs = [int(run) for run in element.attrib["rle"].split(",")]
        pixels = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
        mask[top : top + height, left : left + width] = pixels
    return mask


def fiftyone_mask(path: Path, frame: np.ndarray) -> np.ndarray:
    """Decode the mask of a frame of FiftyOne."""
    entry = json.loads(path.read_text(encoding="utf-8"))["frames"][FRAME]
    mask = np.zeros(frame.shape[:2], np.bool_)
    for detection in entry["objects"]["detections"]:
        packed = zlib.decompress(base64.b64decode(detection["mask"]["$binary"]["base64"]))
        part = np.load(io.BytesIO(packed), allow_pickle=False)
        x, y = (round(value * len(frame)) for value in detection["bounding_box"][:2])
        mask[y : y + part.shape[0], x : x + part.shape[1]] |= part
    return mask


def polygon_picture(path: Path, frame: np.ndarray) -> Image.Image:
    """Draw the polygons of a label file of YOLO."""
    picture = Image.fromarray(frame)
    draw = ImageDraw.Draw(picture)
    for line in path.read_text(encoding="utf-8").splitlines():
        values = np.array(line.split()[1:], np.float64).reshape(-1, 2) * (frame.shape[1], frame.shape[0])
        points = [(x, y) for x, y in values.tolist()]
        draw.polygon(points, outline=PINK, width=3)
        for x, y in points[::3]:
            draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=WHITE)
    return picture


def timeline_picture(intervals: list[tuple[float, float]], end: float) -> Image.Image:
    """Draw intervals, in seconds, on a line of time."""
    picture = Image.new("RGB", (384, 384), WHITE)
    draw = ImageDraw.Draw(picture)
    for second in range(int(end) + 1):
        x = 12 + 360 * second / end
        draw.line((x, 120, x, 264), fill=GREY)
    for first, last in intervals:
        draw.rectangle((12 + 360 * first / end, 160, 12 + 360 * last / end, 224), fill=PINK)
    return picture


def draw_all(folder: Path) -> dict[str, Image.Image]:
    """Draw the exports of a folder, by format."""
    path = {name: folder / file for name, file in OUTPUT_FILES.items()}
    frame = np.asarray(Image.open(path["frames"] / f"{FRAME:06d}.jpg"))
    coco = json.loads(path["coco"].read_text(encoding="utf-8"))
    rle = next(row["segmentation"] for row in coco["annotations"] if row["image_id"] == FRAME)
    tracks = json.loads(path["ytvis"].read_text(encoding="utf-8"))["annotations"]
    timeline = json.loads((path["labelstudio"] / "timeline.json").read_text(encoding="utf-8"))
    ranges = [result["value"]["ranges"][0] for result in timeline[0]["predictions"][0]["result"]]
    rows = (path["intervals"] / "intervals.csv").read_text(encoding="utf-8").splitlines()[1:]
    mots = np.asarray(Image.open(path["mots"] / "instances" / f"{FRAME:06d}.png"))
    with np.load(path["npz"]) as volume:
        labels = volume["labels"][FRAME]
    number = round(SECOND * 20)
    return {
        "overlay": Image.fromarray(video_frame(path["overlay"])).convert("RGB"),
        "cutout-prores": on_checkers(video_frame(path["cutout-prores"])),
        "cutout-webm": on_checkers(video_frame(path["cutout-webm"], "libvpx-vp9")),
        "cutout-png": on_checkers(np.asarray(Image.open(path["cutout-png"] / f"{number:06d}.png"))),
        "matte": Image.fromarray(video_frame(path["matte"])).convert("RGB"),
        "matte-prores": Image.fromarray(video_frame(path["matte-prores"])).convert("RGB"),
        "masks": Image.open(path["masks"] / f"{FRAME:06d}.png").convert("RGB"),
        "frames": Image.fromarray(frame),
        "coco": tinted(coco_mask.decode(rle), frame),
        "ytvis": tinted(coco_mask.decode(tracks[0]["segmentations"][FRAME]), frame),
        "yolo": polygon_picture(path["yolo"] / "labels" / f"{FRAME:06d}.txt", frame),
        "cvat": tinted(cvat_mask(path["cvat"] / "images.xml", frame), frame),
        "labelstudio": timeline_picture([((row["start"] - 1) / 20, row["end"] / 20) for row in ranges], 10),
        "mots": tinted(mots > 0, frame),
        "davis": Image.open(path["davis"] / "Annotations" / f"{FRAME:05d}.png").convert("RGB"),
        "fiftyone": tinted(fiftyone_mask(path["fiftyone"] / "frames.json", frame), frame),
        "npz": Image.fromarray((labels > 0) * np.uint8(255)).convert("RGB"),
        "intervals": timeline_picture([tuple(map(float, row.split(",")[2:])) for row in rows], 10),
    }


def main(out: Path) -> None:
    """Export the bundled clip in all formats and write the pictures."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        result = auralsam2.load("mini").segment(demo_clip()).save(temporary, save="json")
        export_result(result, WRITERS.keys(), options=ExportOptions(alpha=AlphaOptions(feather=1)))
        for name, picture in draw_all(result).items():
            picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS).save(out / f"{name}.jpg", quality=80)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
