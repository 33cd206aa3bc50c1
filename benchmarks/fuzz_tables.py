"""Mutated CSV files of data sets for `fuzz.py`."""

from __future__ import annotations

import csv
import io
import json
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np

from auralsam2.errors import AuralError
from fuzz_values import mutated_bytes, mutated_text, mutated_value, unfinished


class CsvCases:
    """Mutated CSV files of all data sets, in folders of empty files."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder, self._seed = folder, seed

    def make(self, number: int) -> Path:
        """Write a case, a folder named after its data set."""
        rng = np.random.default_rng((self._seed, number))
        name = str(rng.choice(sorted(_TREES)))
        root = self._folder / f"{number:05d}-{name}"
        for path in _TREES[name][1]:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).touch()
        for path, text in _TREES[name][0].items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(_mutated_table(text, rng, is_table=path.endswith(".csv")))
        return root

    def run(self, case: Path) -> None:
        """List and check all splits of a data set."""
        from auralsam2.data.check import check_split
        from auralsam2.data.registry import open_dataset

        reader = open_dataset(case.name.partition("-")[2], case)
        reader.rows_without_split()
        for split in reader.splits:
            with suppress(AuralError):
                check_split(reader, reader.listing(split))

    def leftovers(self, case: Path) -> list[Path]:
        """Return the unfinished files in the case's folder, and remove the folder."""
        files = unfinished(case)
        shutil.rmtree(case, ignore_errors=True)
        return files


def _mutated_table(text: str, rng: np.random.Generator, *, is_table: bool) -> bytes:
    """Damage a CSV file in its cells or as text, and any other file as text."""
    kind = int(rng.integers(4))
    if is_table and kind < 2:
        rows = mutated_value(list(csv.reader(io.StringIO(text))), rng)
        out = io.StringIO()
        for row in rows if isinstance(rows, list) else ():
            csv.writer(out, escapechar="\\").writerow(row if isinstance(row, list) else [row])
        return out.getvalue().encode("utf-8", "surrogatepass")
    changed = mutated_text(text, rng).encode("utf-8", "surrogatepass")
    return mutated_bytes(changed, rng) if kind == 3 else changed


def _numbered(folder: str, count: int, form: str = "{}.jpg") -> list[str]:
    return [f"{folder}/{form.format(number)}" for number in range(count)]


_COUNTS = json.dumps({"counts": {"train": {"standard": 2, "hard": 0}, "val": {"standard": 1}}})
_SCENES = (
    "uid,split,mix,kind,frames,objects\n"
    "a,train,standard,single,2,1\nb,train,hard,multi,2,1\nc,val,standard,single,2,1\n"
)
_SCENE_FILES = [
    file
    for uid in "abc"
    for file in (
        *_numbered(f"media/{uid}/frames", 2),
        f"media/{uid}/audio.wav",
        *_numbered(f"gt_mask/{uid}/sounding", 2, "{:05d}.png"),
        *_numbered(f"gt_mask/{uid}/fid_1", 2, "{:05d}.png"),
    )
]
_AVS_FILES = [
    file
    for clip in ("v1s/a_0_5", "v1m/b", "v2/c_0_9")
    for file in (*_numbered(f"{clip}/frames", 10), f"{clip}/audio.wav", *_numbered(f"{clip}/labels_rgb", 10, "{}.png"))
]
_AVS = (
    "vid,uid,s_min,s_sec,a_obj,split,label\n"
    "a,a_0_5,0,0,dog,train,v1s\nb,b,0,0,dog_cat,train,v1m\nc,c_0_9,0,0,dog,test,v2\n"
)
_REF = 'vid,uid,split,fid,exp\na_0_9,a_0_9_dog_1,train,1,"the dog, that barks"\na_0_9,n-a_0_9_null_0,val,0,nothing\n'
_REF_FILES = [
    *_numbered("media/a_0_9/frames", 10),
    "media/a_0_9/audio.wav",
    *_numbered("gt_mask/a_0_9/fid_1", 10, "{:05d}.png"),
]
_TREES: dict[str, tuple[dict[str, str], list[str]]] = {
    "stampavs": ({"stampavs.json": _COUNTS, "metadata.csv": _SCENES}, _SCENE_FILES),
    "stampavs-ref": (
        {
            "stampavs.json": _COUNTS,
            "metadata.csv": _SCENES,
            "expressions.csv": "vid,uid,split,fid,exp\na,a_0,train,1,the bell\nc,c_0,val,0,nothing\n",
        },
        _SCENE_FILES,
    ),
    "v1s": ({"metadata.csv": _AVS}, _AVS_FILES),
    "v2-semantic": ({"metadata.csv": _AVS}, _AVS_FILES),
    "ref-avs": ({"metadata.csv": _REF}, _REF_FILES),
}
"""By data set: text of its tables, and paths of its other files, which are empty."""
