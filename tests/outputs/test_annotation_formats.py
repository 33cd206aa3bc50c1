"""Annotation formats: each one decodes to the exported masks."""

from __future__ import annotations

import base64
import csv
import dataclasses
import io
import json
import re
import subprocess
import zlib
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import supervision
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from scipy import ndimage

import auralsam2
from auralsam2.errors import OutputError, UsageError
from auralsam2.media.probe import probe
from auralsam2.outputs import interval_files, marker_files, rle
from auralsam2.outputs.export import WRITERS, ExportOptions, export_segmentations, write_format
from auralsam2.outputs.formats import FORMATS
from auralsam2.outputs.label_studio import encode_brush
from auralsam2.outputs.mask_table import MaskTable
from auralsam2.outputs.polygons import border_rings, mask_polygon, simplify_ring
from auralsam2.types import Segmentation
from helpers.media_files import numbered, write_media

WIDTH, HEIGHT, FRAMES, RATE = 96, 72, 5, 2.0
NAMES = {1: "dog", 4: "cat & co", 7: "dog"}


def shapes(index: int) -> dict[int, np.ndarray]:
    """A ring, a disc with a satellite, and a bar that is absent in frame 2; they do not overlap."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    distance = np.hypot(x - 24 - 2 * index, y - 24)
    bar = (y > 52) & (y < 66) & (x > 5 + index) & (x < 40)
    return {
        1: (distance < 20) & (distance > 8),
        4: (np.hypot(x - 74, y - 30) < 15 + index / 2) | (np.hypot(x - 84, y - 60) < 6),
        7: bar & (index != 2),
    }


MASKS = [shapes(index) for index in range(FRAMES)]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> MaskTable:
    path = tmp_path_factory.mktemp("video") / "dog days.mp4"
    write_media(path, [numbered(number, WIDTH, HEIGHT) for number in range(25)], fps=10)
    rows = [
        {
            "index": index,
            "object_id": number,
            "time": (index + 0.4) / RATE,
            "slot": [index / RATE, (index + 1) / RATE],
            "source_index": 5 * index + 2,
            "iou": 0.25 + number / 10,
            "object_score": 2.0,
            "sounding": number != 4 or index > 2,
            "rle": rle.encode_rle(mask),
        }
        for index in range(FRAMES)
        for number, mask in MASKS[index].items()
    ]
    return MaskTable(info=probe(path), rows=lambda: iter(rows), names=NAMES, fps=RATE, images="frames/")


def segmentation_of(index: int, number: int, mask: np.ndarray) -> Segmentation:
    return Segmentation(
        index=index,
        time=(index + 0.4) / RATE,
        slot=(index / RATE, (index + 1) / RATE),
        mask=mask,
        logits=mask.astype(np.float32),
        iou=number / 10,
        object_score=1.0,
        sounding=True,
        image=np.zeros((HEIGHT, WIDTH, 3), np.uint8),
        object_id=number,
    )


def export(name: str, table: MaskTable, folder: Path, **options: float) -> Path:
    path = folder / FORMATS[name].path
    if FORMATS[name].members is not None:
        path.mkdir()
        write_format(name, path, table, ExportOptions(**options))
        members = [entry.relative_to(path).as_posix() for entry in path.rglob("*") if entry.is_file()]
        assert members
        assert all(FORMATS[name].owns(member) for member in members)
    else:
        write_format(name, path, table, ExportOptions(**options))
    return path


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return (one & other).sum() / (one | other).sum()


def test_every_format_has_a_writer() -> None:
    assert WRITERS.keys() | {"json"} == FORMATS.keys()
    with pytest.raises(UsageError, match="tolerance=-1"):
        ExportOptions(tolerance=-1)


def test_coco(table: MaskTable, tmp_path: Path) -> None:
    coco = COCO(str(export("coco", table, tmp_path)))
    assert [image["file_name"] for image in coco.loadImgs(range(FRAMES))] == [f"frames/00000{i}.jpg" for i in range(5)]
    assert [image["source_frame"] for image in coco.loadImgs(range(FRAMES))] == [2, 7, 12, 17, 22]
    assert {image["video_id"] for image in coco.dataset["images"]} == {coco.dataset["videos"][0]["id"]}
    assert [(image["frame_id"], image["time"]) for image in coco.loadImgs([0, 3])] == [(0, 0.2), (3, 1.7)]
    annotations = coco.dataset["annotations"]
    assert len(annotations) == 14
    for row in annotations:
        assert np.array_equal(coco.annToMask(row), MASKS[row["image_id"]][row["track_id"]])
        assert coco.loadCats(row["category_id"])[0]["name"] == NAMES[row["track_id"]]


def test_session_in_any_order(tmp_path: Path, table: MaskTable) -> None:
    frames = [segmentation_of(index, number, MASKS[index][number]) for index in (3, 4, 1, 0, 2) for number in (4, 1)]
    (path,) = export_segmentations(["coco"], tmp_path / "new", table.info, iter(frames), labels={1: "dog", 4: "cat"})
    assert [entry.name for entry in (tmp_path / "new").iterdir()] == ["coco.json"]
    coco = COCO(str(path))
    assert [image["id"] for image in coco.dataset["images"]] == [0, 1, 2, 3, 4]
    keys = [(row["image_id"], row["track_id"]) for row in coco.dataset["annotations"]]
    assert keys == [(index, number) for index in range(FRAMES) for number in (1, 4)]
    for row in coco.dataset["annotations"]:
        assert np.array_equal(coco.annToMask(row), MASKS[row["image_id"]][row["track_id"]])
    export_segmentations(["coco"], tmp_path, table.info, frames)
    categories = json.loads((tmp_path / "coco.json").read_text())["categories"]
    assert [row["name"] for row in categories] == ["object 1", "object 4"]
    with pytest.raises(UsageError, match="object 4 has no name in `labels`"):
        export_segmentations(["coco"], tmp_path, table.info, frames, labels={1: "dog"})
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        export_segmentations(["coco"], tmp_path / "file" / "out", table.info, frames)


def test_names_of_frames_that_are_not_exported_are_omitted(table: MaskTable, tmp_path: Path) -> None:
    alone = dataclasses.replace(table, images=None)
    assert all("file_name" not in image for image in json.loads(export("coco", alone, tmp_path).read_text())["images"])
    assert "file_names" not in json.loads(export("ytvis", alone, tmp_path).read_text())["videos"][0]


def test_youtube_vis(table: MaskTable, tmp_path: Path) -> None:
    data = json.loads(export("ytvis", table, tmp_path).read_text())
    (video,) = data["videos"]
    assert (video["length"], video["width"], video["height"]) == (FRAMES, WIDTH, HEIGHT)
    assert video["file_names"][3] == "frames/000003.jpg"
    assert [row["track_id"] for row in data["annotations"]] == [1, 4, 7]
    for row in data["annotations"]:
        assert len(row["segmentations"]) == len(row["bboxes"]) == len(row["areas"]) == FRAMES
        for index, segmentation in enumerate(row["segmentations"]):
            mask = MASKS[index][row["track_id"]]
            assert (segmentation is None) == (not mask.any())
            if segmentation:
                assert np.array_equal(coco_mask.decode(segmentation), mask)
                assert row["areas"][index] == mask.sum()


@pytest.mark.parametrize(("tolerance", "least"), [(0.5, 0.97), (0.0, 0.985)])
def test_yolo_by_supervision(tolerance: float, least: float, table: MaskTable, tmp_path: Path) -> None:
    folder = export("yolo", table, tmp_path, tolerance=tolerance)
    dataset = supervision.DetectionDataset.from_yolo(
        str(folder / "images"), str(folder / "labels"), str(folder / "data.yaml"), force_masks=True
    )
    assert dataset.classes == ["dog", "cat & co"]
    frames = sorted(dataset, key=lambda entry: entry[0])
    assert len(frames) == FRAMES
    for index, (_, _, detections) in enumerate(frames):
        shown = [(number, mask) for number, mask in MASKS[index].items() if mask.any()]
        assert detections.class_id.tolist() == [{"dog": 0, "cat & co": 1}[NAMES[number]] for number, _ in shown]
        for mask, (_, truth) in zip(detections.mask, shown, strict=True):
            assert iou(mask, truth) >= least


def cvat_mask(element: ElementTree.Element) -> np.ndarray:
    left, top, width, height = (int(element.attrib[name]) for name in ("left", "top", "width", "height"))
    runs = [int(run) for run in element.attrib["rle"].split(",")]
    pixels = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[top : top + height, left : left + width] = pixels
    return mask


def test_cvat(table: MaskTable, tmp_path: Path) -> None:
    folder = export("cvat", table, tmp_path)
    images = ElementTree.parse(folder / "images.xml").getroot()
    assert [label.text for label in images.iter("name")][:3] == ["dog days.mp4", "dog", "object"]
    assert [image.attrib["name"] for image in images.iter("image")] == [f"{index:06d}.jpg" for index in range(FRAMES)]
    shown = 0
    for index, image in enumerate(images.iter("image")):
        for element in image.iter("mask"):
            number = int(element.findtext("attribute"))
            assert element.attrib["label"] == NAMES[number]
            assert np.array_equal(cvat_mask(element), MASKS[index][number])
            shown += 1
    assert shown == 14
    tracks = list(ElementTree.parse(folder / "video.xml").getroot().iter("track"))
    assert len(tracks) == 14
    for track in tracks:
        inside, outside = track.iter("mask")
        frame = int(inside.attrib["frame"])
        assert (inside.attrib["outside"], outside.attrib["outside"]) == ("0", "1")
        assert int(outside.attrib["frame"]) == frame + 1
        assert np.array_equal(cvat_mask(inside), MASKS[(frame - 2) // 5][int(inside.findtext("attribute"))])


def decode_brush(data: list[int]) -> np.ndarray:
    """Decoder of the format of `encode_brush`, as the converter of Label Studio works."""
    bits = "".join(f"{byte:08b}" for byte in data)
    at = 0

    def read(size: int) -> int:
        nonlocal at
        at += size
        return int(bits[at - size : at], 2)

    count, word = read(32), read(5) + 1
    sizes = [read(4) + 1 for _ in range(4)]
    values: list[int] = []
    while len(values) < count:
        repeated = read(1)
        length = read(sizes[read(2)]) + 1
        values += [read(word)] * length if repeated else [read(word) for _ in range(length)]
    return np.array(values, np.uint8).reshape(HEIGHT, WIDTH, 4)


def test_label_studio(table: MaskTable, tmp_path: Path) -> None:
    folder = export("labelstudio", table, tmp_path)
    tasks = json.loads((folder / "brush.json").read_text())
    assert [task["data"]["image"] for task in tasks] == [f"frames/00000{index}.jpg" for index in range(FRAMES)]
    for index, task in enumerate(tasks):
        results = task["predictions"][0]["result"]
        assert len(results) == (2 if index == 2 else 3)
        for result in results:
            image = decode_brush(result["value"]["rle"])
            mask = MASKS[index][int(result["id"].removeprefix("object-"))]
            assert np.array_equal(image, np.repeat(mask[..., None] * np.uint8(255), 4, axis=2))
    (task,) = json.loads((folder / "timeline.json").read_text())
    ranges = [
        (*result["value"]["timelinelabels"], result["value"]["ranges"]) for result in task["predictions"][0]["result"]
    ]
    assert ranges == [
        ("dog", [{"start": 1, "end": 25}]),
        ("cat & co", [{"start": 16, "end": 25}]),
        ("dog", [{"start": 1, "end": 10}]),
        ("dog", [{"start": 16, "end": 25}]),
    ]
    for name in ("brush.xml", "timeline.xml"):
        labels = [label.attrib["value"] for label in ElementTree.parse(folder / name).getroot().iter("Label")]
        assert labels == ["dog", "cat & co"]


def test_long_brush_runs_are_split() -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    assert not decode_brush(encode_brush(rle.encode_rle(mask))).any()
    assert decode_brush(encode_brush(rle.encode_rle(~mask))).all()
    large = np.ones((200, 200), np.bool_)
    assert len(encode_brush(rle.encode_rle(large))) == (32 + 5 + 16 + 3 * (1 + 2 + 16 + 8) + 7) // 8


def test_label_images(table: MaskTable, tmp_path: Path) -> None:
    mots = export("mots", table, tmp_path)
    assert (mots / "instances" / "labels.txt").read_text().split("\n") == ["dog", "cat & co", ""]
    davis = export("davis", table, tmp_path)
    values = {row["object"]: row["value"] for row in json.loads((davis / "objects.json").read_text())}
    assert values == {1: 1, 4: 2, 7: 3}
    for index, masks in enumerate(MASKS):
        labels = np.asarray(Image.open(mots / "instances" / f"{index:06d}.png"))
        assert Image.open(davis / "JPEGImages" / f"{index:05d}.jpg").size == (WIDTH, HEIGHT)
        palette = np.asarray(Image.open(davis / "Annotations" / f"{index:05d}.png"))
        for number, mask in masks.items():
            assert np.array_equal(labels == {1: 1001, 4: 2004, 7: 1007}[number], mask)
            assert np.array_equal(palette == values[number], mask)


def test_more_objects_than_values(table: MaskTable, tmp_path: Path) -> None:
    many = dataclasses.replace(table, names=dict.fromkeys(range(256), "dog"))
    for name in ("davis", "npz"):
        with pytest.raises(UsageError, match="255 objects at most"):
            export(name, many, tmp_path)
    with pytest.raises(UsageError, match="objects 0 to 999"):
        export("mots", dataclasses.replace(table, names={1000: "dog"}), tmp_path)


def test_label_volume(table: MaskTable, tmp_path: Path) -> None:
    with np.load(export("npz", table, tmp_path), allow_pickle=False) as volume:
        assert volume["labels"].shape == (FRAMES, HEIGHT, WIDTH)
        assert volume["names"].tolist() == ["dog", "cat & co", "dog"]
        assert volume["times"].tolist() == pytest.approx([0.2, 0.7, 1.2, 1.7, 2.2])
        assert volume["source_frames"].tolist() == [2, 7, 12, 17, 22]
        for value, number in zip(volume["values"], volume["objects"], strict=True):
            for index, masks in enumerate(MASKS):
                assert np.array_equal(volume["labels"][index] == value, masks[number])


def test_fiftyone(table: MaskTable, tmp_path: Path) -> None:
    folder = export("fiftyone", table, tmp_path)
    (sample,) = json.loads((folder / "samples.json").read_text())["samples"]
    assert sample["filepath"] == str(table.info.path)
    frames = json.loads((folder / "frames.json").read_text())["frames"]
    assert [frame["frame_number"] for frame in frames] == [3, 8, 13, 18, 23]
    assert {frame["_sample_id"]["$oid"] for frame in frames} == {sample["_id"]["$oid"]}
    for frame, masks in zip(frames, MASKS, strict=True):
        for detection in frame["objects"]["detections"]:
            packed = zlib.decompress(base64.b64decode(detection["mask"]["$binary"]["base64"]))
            part = np.load(io.BytesIO(packed), allow_pickle=False)
            x, y, width, height = (
                round(value * size)
                for value, size in zip(detection["bounding_box"], (WIDTH, HEIGHT, WIDTH, HEIGHT), strict=True)
            )
            mask = np.zeros((HEIGHT, WIDTH), np.bool_)
            mask[y : y + height, x : x + width] = part
            assert np.array_equal(mask, masks[detection["index"]])


def seconds(timecode: str) -> float:
    hours, minutes, whole, frames = map(int, timecode.split(":"))
    return 3600 * hours + 60 * minutes + whole + frames / 10


def test_intervals(table: MaskTable, tmp_path: Path) -> None:
    folder = export("intervals", table, tmp_path)
    expected = [(0.0, 1.0, 7, "dog"), (0.0, 2.5, 1, "dog"), (1.5, 2.5, 4, "cat & co"), (1.5, 2.5, 7, "dog")]
    with (folder / "intervals.csv").open(newline="") as file:
        rows = [
            (float(row["start"]), float(row["end"]), int(row["object"]), row["name"]) for row in csv.DictReader(file)
        ]
    assert rows == expected
    command = ["ffprobe", "-v", "error", "-show_entries", "packet=pts_time,duration_time", "-of", "csv=p=0"]
    text = subprocess.run([*command, folder / "intervals.vtt"], capture_output=True, check=True, text=True).stdout
    cues = [tuple(map(float, line.split(",")[:2])) for line in text.split()]
    assert cues == [(start, end - start) for start, end, *_ in expected]
    assert "cat &amp; co" in (folder / "intervals.vtt").read_text()
    edl = (folder / "intervals.edl").read_text()
    events = re.findall(r"^(\d{3})  AX       V     C        (\S+) (\S+) (\S+) (\S+)$", edl, re.MULTILINE)
    assert [(seconds(first), seconds(last)) for _, first, last, *_ in events] == [row[:2] for row in expected]
    assert [seconds(event[3]) for event in events] == pytest.approx([0.0, 1.0, 3.5, 4.5])
    rttm = [line.split() for line in (folder / "intervals.rttm").read_text().splitlines()]
    assert [(row[1], float(row[3]), float(row[4]), row[7]) for row in rttm] == [
        ("dog_days", start, pytest.approx(end - start), name.replace(" ", "_")) for start, end, _, name in expected
    ]
    markers = ElementTree.parse(folder / "intervals.fcpxml").findall(".//asset-clip/marker")
    times = [[Fraction(marker.attrib[key].removesuffix("s")) for key in ("start", "duration")] for marker in markers]
    assert [
        (start, start + length, marker.attrib["value"]) for marker, (start, length) in zip(markers, times, strict=True)
    ] == [(start, end, name) for start, end, _, name in expected]
    document = ElementTree.parse(folder / "intervals.xml")
    rows = [[marker.findtext(tag) for tag in ("in", "out", "name")] for marker in document.findall(".//marker")]
    assert rows == [[f"{10 * start:.0f}", f"{10 * end:.0f}", name] for start, end, _, name in expected]
    assert document.findtext(".//timebase") == "10"


@pytest.mark.parametrize("fps", [0.0, 0.0004, 0.9])
def test_timelines_of_slide_shows_have_a_usual_rate(table: MaskTable, tmp_path: Path, fps: float) -> None:
    table = dataclasses.replace(table, info=dataclasses.replace(table.info, fps=fps))
    interval_files.write_intervals(tmp_path, table)
    root = ElementTree.parse(tmp_path / "intervals.fcpxml")
    assert root.find(".//format").attrib["frameDuration"] == "1/25s"
    assert [marker.attrib["start"] for marker in root.findall(".//marker")] == ["0s", "0s", "38/25s", "38/25s"]
    document = ElementTree.parse(tmp_path / "intervals.xml")
    assert document.findtext(".//timebase") == "25"
    assert [marker.findtext("in") for marker in document.findall(".//marker")] == ["0", "0", "38", "38"]
    assert "00:00:01:13" in (tmp_path / "intervals.edl").read_text()


def test_markers_of_a_fractional_rate_are_whole_frames(table: MaskTable) -> None:
    info = dataclasses.replace(table.info, fps=29.97002997, path=Path("a\x00 & b.mp4"))
    table = dataclasses.replace(table, info=info)
    root = ElementTree.fromstring(marker_files.fcpxml([marker_files.Interval(1.0, 2.0, 1, "\x01cat")], table))
    assert root.find(".//format").attrib["frameDuration"] == "1001/30000s"
    assert root.find(".//asset").attrib["name"] == "a & b.mp4"
    marker = root.find(".//marker").attrib
    assert (marker["start"], marker["duration"], marker["value"]) == ("1001/1000s", "1001/1000s", "cat")
    document = ElementTree.fromstring(marker_files.final_cut_xml([], table))
    assert (document.findtext(".//timebase"), document.findtext(".//ntsc")) == ("30", "TRUE")


def test_supervision_detections() -> None:
    segmentations = [segmentation_of(2, number, mask) for number, mask in MASKS[2].items()]
    detections = auralsam2.to_supervision(segmentations, NAMES)
    assert detections.tracker_id.tolist() == [1, 4]
    assert detections.class_id.tolist() == [0, 1]
    assert detections.confidence.tolist() == pytest.approx([0.1, 0.4])
    assert detections["class_name"].tolist() == ["dog", "cat & co"]
    for mask, box, number in zip(detections.mask, detections.xyxy, (1, 4), strict=True):
        assert np.array_equal(mask, MASKS[2][number])
        x0, y0, x1, y1 = box.astype(int)
        assert mask[y0:y1, x0:x1].sum() == mask.sum()
    assert len(auralsam2.to_supervision(segmentations[2])) == 0
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    assert supervision.MaskAnnotator().annotate(image, detections).any()


def fill(polygon: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return supervision.polygon_to_mask(np.round(polygon).astype(int), shape[::-1]).astype(bool)


def test_polygons_of_one_part_are_exact() -> None:
    rng = np.random.default_rng(0)
    for sigma in (0.6, 1.5, 3.0):
        for _ in range(15):
            labels, _ = ndimage.label(ndimage.gaussian_filter(rng.standard_normal(rng.integers(2, 40, 2)), sigma) > 0)
            mask = ndimage.binary_fill_holes(labels == 1)
            if mask.any():
                assert np.array_equal(fill(mask_polygon(mask), mask.shape), mask)


def test_border_runs_clockwise_around_the_mask() -> None:
    mask = np.zeros((4, 5), np.bool_)
    mask[1:3, 1:4] = True
    (ring,) = border_rings(mask)
    assert sorted(ring.tolist()) == [[1, 1], [1, 3], [4, 1], [4, 3]]
    x, y = ring.T
    assert (x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2 == mask.sum()
    assert border_rings(np.zeros((3, 3), np.bool_)) == []
    assert len(border_rings(np.eye(3, dtype=np.bool_))) == 3
    with pytest.raises(ValueError, match="empty"):
        mask_polygon(mask & False)


def test_simplified_ring_stays_within_the_tolerance() -> None:
    angles = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    ring = 50 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    for tolerance in (0.1, 0.5, 2.0):
        simple = simplify_ring(ring, tolerance)
        assert 4 <= len(simple) <= 64
        middle = (simple + np.roll(simple, -1, axis=0)) / 2
        assert np.all(50 - np.linalg.norm(middle, axis=1) <= tolerance + 1e-9)
