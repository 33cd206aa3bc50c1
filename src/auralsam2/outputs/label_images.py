"""Label images and volumes: one value per object and pixel; a later object covers an earlier one."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from auralsam2.errors import UsageError
from auralsam2.outputs import rle
from auralsam2.outputs.davis import MAX_OBJECTS, label_image, save_davis
from auralsam2.outputs.jpeg import encode_jpeg
from auralsam2.outputs.mask_table import MaskTable, object_of
from auralsam2.outputs.result_json import Row
from auralsam2.utils.atomic_io import writing

Unsigned = type[np.unsignedinteger]
_INSTANCES = 1000
"""Factor of the category in the values of MOTS."""


def write_davis(folder: Path, table: MaskTable) -> None:
    """Write `Annotations/00000.png`, … with the palette of DAVIS, `JPEGImages/00000.jpg`, … and `objects.json`.

    Objects have the values 1, 2, … in the order of their numbers; `objects.json` lists them. The video is read again.

    Raises:
        UsageError: there are more than 255 objects.
        InputError: the video cannot be read.
        OutputError: a file cannot be written.
    """
    values = _values(table, MAX_OBJECTS)
    entries = [{"value": value, "object": number, "name": table.names[number]} for number, value in values.items()]
    with writing(folder):
        (folder / "objects.json").write_text(json.dumps(entries, indent=1), encoding="utf-8")
        (folder / "Annotations").mkdir()
        (folder / "JPEGImages").mkdir()
        for frame, rows in table.processed_pictures():
            (folder / "JPEGImages" / f"{frame.index:05d}.jpg").write_bytes(encode_jpeg(frame.image))
            with (folder / "Annotations" / f"{frame.index:05d}.png").open("wb") as file:
                save_davis(_label_image(rows, values, np.uint8), file)


def write_mots(folder: Path, table: MaskTable) -> None:
    """Write MOTS: 16-bit `instances/000000.png`, … of 1000 times category plus object, and the names in `labels.txt`.

    Raises:
        UsageError: there are more than 65 categories, or a number of an object exceeds 999.
        OutputError: a file cannot be written.
    """
    categories = table.categories
    if len(categories) > np.iinfo(np.uint16).max // _INSTANCES or max(table.names) >= _INSTANCES:
        raise UsageError("MOTS has at most 65 categories and objects 0 to 999: choose fewer objects with `object`")
    values = {number: _INSTANCES * categories[name] + number for number, name in table.names.items()}
    with writing(folder):
        (folder / "instances").mkdir()
        names = "".join(f"{name}\n" for name in categories)
        (folder / "instances" / "labels.txt").write_text(names, encoding="utf-8")
        for index, labels in _labels(table, values, np.uint16):
            Image.fromarray(labels).save(folder / "instances" / f"{index:06d}.png")


def write_label_volume(path: Path, table: MaskTable) -> None:
    """Write a compressed `.npz` of all processed frames, frame by frame.

    Its arrays are `labels` (T, H, W) uint8, 0 for the background; `values` and `names` (N,), the value and name of each
    object; `objects` (N,), their numbers; `index`, `times` (T,), in seconds, and `source_frames` (T,).

    Raises:
        UsageError: there are more than 255 objects.
        OutputError: the file cannot be written.
    """
    values = _values(table, MAX_OBJECTS)
    rows = [(rows[0]["index"], rows[0]["time"], table.source_frame(rows[0])) for rows in table.frames()]
    index, times, source_frames = (np.array(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    shape = (len(rows), table.info.height, table.info.width)
    arrays = {
        "values": np.array(list(values.values()), np.uint8),
        "objects": np.array(list(values)),
        "names": np.array([table.names[number] for number in values]),
        "index": index,
        "times": times,
        "source_frames": source_frames,
    }
    with writing(path), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("labels.npy", "w", force_zip64=True) as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for _, labels in _labels(table, values, np.uint8):
                file.write(labels.tobytes())
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)


def _values(table: MaskTable, most: int) -> dict[int, int]:
    if len(table.names) > most:
        raise UsageError(f"a label image holds {most} objects at most: choose fewer with `object`")
    return {number: value for value, number in enumerate(sorted(table.names), 1)}


def _labels(table: MaskTable, values: dict[int, int], dtype: Unsigned) -> Iterator[tuple[int, np.ndarray]]:
    """Yield index and (H, W) label image of each processed frame."""
    for rows in table.frames():
        yield rows[0]["index"], _label_image(rows, values, dtype)


def _label_image(rows: list[Row], values: dict[int, int], dtype: Unsigned) -> np.ndarray:
    masks = {values[object_of(row)]: rle.decode_rle(row["rle"]) for row in sorted(rows, key=object_of)}
    height, width = rows[0]["rle"]["size"]
    return label_image(masks, height, width, dtype)
