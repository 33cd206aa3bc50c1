"""Damaged models and checkpoints for `fuzz.py`. Nothing in a mutated file is ever executed."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from auralsam2.bench.material import write_small_model
from auralsam2.config import ModelConfig
from auralsam2.hub import download
from auralsam2.hub.convert import convert
from auralsam2.hub.release_format import fuser_shapes
from auralsam2.model import AuralSAM2

VALUES: tuple[Any, ...] = (
    *(0, -1, 1, 3, 7, 1000, 10**9, -(10**9), 10**30, 0.5, -0.5, 1e300, float("nan"), float("inf")),
    *(None, True, "", "x", "\u0000", "../..", "/", "~nobody", [], [0], [1, 2, 3], [[1]], {}, {"a": {"b": 1}}),
)
"""Replacements of a value in a JSON file."""

PROGRAMS = (
    b"\x80\x02}K\x01K\x02\x86K\x03s.",
    b"\x80\x03}X\x01\x00\x00\x00aC\x01xs.",
    b"\x80\x02cbuiltins\nrange\nK\x03\x85R.",
    b"\x80\x02cbuiltins\ncomplex\nK\x01K\x02\x86R.",
)
"""Pickles of {(1, 2): 3}, {"a": b"x"}, range(3) and 1+2j: the last two call a function, harmlessly."""


class ModelFuzz:
    """Mutated model folders: two thirds of the bundled model, one third of a small model without text."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.seed = folder, seed
        self.bases = [download.BUNDLED / "mini", download.BUNDLED / "mini", write_small_model(folder / "small", 64)]

    def make(self, number: int) -> Path:
        """Write case `number`, a model folder with one mutated file; the other files are links."""
        rng = np.random.default_rng((self.seed, number))
        base, case = self.bases[number % len(self.bases)], self.folder / f"model-{number}"
        shutil.copytree(base, case, copy_function=os.symlink)
        paths = sorted(path for path in case.rglob("*") if path.is_file())
        path = paths[rng.integers(len(paths))]
        content = path.read_bytes()
        kinds: list[Callable[[bytes, np.random.Generator], bytes]] = [_flipped, _cut]
        kinds += [_json_value] * 4 if path.suffix == ".json" else [_header, _not_finite]
        choice = int(rng.integers(len(kinds) + 2))
        path.unlink()
        if choice < len(kinds):
            path.write_bytes(kinds[choice](content, rng))
        elif choice == len(kinds):
            sources = sorted(source for source in base.rglob("*") if source.is_file() and source.name != path.name)
            path.write_bytes(sources[rng.integers(len(sources))].read_bytes())
        return case

    def run(self, case: Path) -> None:
        """Load the model and segment a second of the demo clip with it."""
        torch.manual_seed(0)
        model = AuralSAM2.from_pretrained(case, "cpu", "fp32")
        text = "the dog" if model.config.text is not None else None
        for frame in model.segment(download.BUNDLED / "demo.mp4", text=text, fps=2, end=1.0):
            assert frame.mask.ndim == 2

    def leftovers(self, case: Path) -> list[Path]:
        """Return new files in the folder."""
        names = {str(path.relative_to(base)) for base in self.bases for path in base.rglob("*")}
        return [path for path in case.rglob("*") if str(path.relative_to(case)) not in names]


class CheckpointFuzz:
    """Mutated checkpoints in the fuser-only layout; valid weights are expanded views without storage."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.seed = folder, seed
        shapes = fuser_shapes(ModelConfig.released("audio"))
        self.state = {name: torch.zeros(()).expand(shape) for name, shape in shapes.items()}
        folder.mkdir(parents=True, exist_ok=True)
        self.small = {f"layer.{number}": torch.randn(3, 4) for number in range(4)}

    def make(self, number: int) -> Path:
        """Write case `number`, a `.pth` file with one mutation."""
        rng = np.random.default_rng((self.seed, number))
        path = self.folder / f"case-{number}.pth"
        mutations = (self._key, self._value, self._tensor, self._container, self._bytes, self._zip)
        mutations[int(rng.integers(len(mutations)))](path, rng)
        return path

    def run(self, case: Path) -> None:
        """Convert the checkpoint."""
        convert(case, case.with_suffix(""))
        shutil.rmtree(case.with_suffix(""))

    def leftovers(self, case: Path) -> list[Path]:
        """Return half-written folders of the case."""
        return [
            path for path in case.parent.glob(f"*{case.stem}*") if path != case and path.stem.strip(".") == case.stem
        ]

    def _table(self, rng: np.random.Generator) -> dict[Any, Any]:
        """Return a release with a few SAM 2 tensors, a table of unknown names, or the fuser alone."""
        kind = rng.integers(4)
        if kind == 0:
            return {f"v_model.{name}": tensor for name, tensor in self._sam2(rng).items()} | {
                f"aural_fuser.{name}": tensor for name, tensor in self.state.items()
            }
        if kind == 1:
            return dict(self.small)
        return dict(self.state)

    def _sam2(self, rng: np.random.Generator) -> dict[str, Any]:
        points = {
            f"sam_prompt_encoder.point_embeddings.{row}.weight": torch.zeros(
                tuple(rng.integers(0, 3, int(rng.integers(3))).tolist())
            )
            for row in range(4)
        }
        return points | {"maskmem_tpos_enc": torch.zeros(7, 1, 1, 64)}

    def _key(self, path: Path, rng: np.random.Generator) -> None:
        keys = ((1, 2), ("a",), 7, -1, b"vgg", None, True, 1.5, "", "\n", "\u0000", "x" * 10**5, frozenset((1,)),
                "training_layers.99999999999.weight", f"training_layers.{'9' * 5000}.weight", "module.",
                "vgg.")  # fmt: skip
        table = self._table(rng)
        table[keys[rng.integers(len(keys))]] = torch.zeros(2)
        torch.save(table, path)

    def _value(self, path: Path, rng: np.random.Generator) -> None:
        values = (None, 1, "x", b"x", [torch.zeros(2)], (1,), {"a": torch.zeros(1)}, {}, 1j, {1: 2}, torch.float32,
                  torch.Size([1]), torch.device("cpu"), OrderedDict(), 10**400, [[]])  # fmt: skip
        self._replace(path, rng, values[rng.integers(len(values))])

    def _tensor(self, path: Path, rng: np.random.Generator) -> None:
        table = self._table(rng)
        name = list(table)[rng.integers(len(table))]
        shape = tuple(table[name].shape)
        makers: tuple[Callable[[], Any], ...] = (
            *(lambda kind=kind: torch.zeros(shape or (1,)).to(kind) for kind in (
                torch.int8, torch.int64, torch.bool, torch.complex64, torch.float64, torch.float16, torch.bfloat16,
                torch.float8_e4m3fn, torch.uint8)),
            lambda: torch.zeros(1).expand(2**20, 2**20),
            lambda: torch.zeros(0),
            lambda: torch.zeros(()),
            lambda: torch.full(shape, float("nan")),
            lambda: torch.full(shape, float("inf")),
            lambda: torch.full(shape, 1e300, dtype=torch.float64),
            lambda: torch.zeros(shape or (1,)).to_sparse(),
            lambda: torch.zeros(shape, device="meta"),
            lambda: torch.quantize_per_tensor(torch.zeros(shape or (1,)), 1.0, 0, torch.qint8),
            lambda: torch.nn.Parameter(torch.zeros(shape)),
            lambda: torch.zeros(shape).transpose(0, -1) if len(shape) > 1 else torch.zeros(shape),
        )  # fmt: skip
        table[name] = makers[rng.integers(len(makers))]()
        torch.save(table, path)

    def _container(self, path: Path, rng: np.random.Generator) -> None:
        table = self._table(rng)
        containers = (
            list(table.values()), [], (), torch.zeros(3), None, 1, "x", {"model": []}, {"model": {}},
            {"state_dict": {(1,): 2}}, {"model": {"state_dict": table}}, {"model": table}, OrderedDict(table),
            {"state_dict": {1: torch.zeros(1)}}, {f"module.{name}": tensor for name, tensor in table.items()}, {},
        )  # fmt: skip
        torch.save(
            containers[rng.integers(len(containers))], path, _use_new_zipfile_serialization=bool(rng.integers(2))
        )

    def _bytes(self, path: Path, rng: np.random.Generator) -> None:
        torch.save(self.small, path, _use_new_zipfile_serialization=bool(rng.integers(2)))
        path.write_bytes((_flipped, _cut)[rng.integers(2)](path.read_bytes(), rng))

    def _zip(self, path: Path, rng: np.random.Generator) -> None:
        """Write a ZIP file with another pickle, or with a missing or swapped entry."""
        torch.save(self.small, path)
        with zipfile.ZipFile(path) as source:
            entries = {name: source.read(name) for name in source.namelist()}
        name = list(entries)[rng.integers(len(entries))]
        kind = rng.integers(4)
        if kind == 0:
            del entries[name]
        elif kind == 1:
            entries[name] = list(entries.values())[rng.integers(len(entries))]
        elif kind == 2:
            entries[name] = _flipped(entries[name] or b"0", rng)
        else:
            program = next(entry for entry in entries if entry.endswith("data.pkl"))
            entries[program] = PROGRAMS[rng.integers(len(PROGRAMS))]
        with zipfile.ZipFile(path, "w") as target:
            for entry, content in entries.items():
                target.writestr(entry, content)

    def _replace(self, path: Path, rng: np.random.Generator, value: Any) -> None:
        table = self._table(rng)
        table[list(table)[rng.integers(len(table))]] = value
        torch.save(table, path)


KINDS: dict[str, type] = {"model": ModelFuzz, "checkpoint": CheckpointFuzz}


def _flipped(content: bytes, rng: np.random.Generator) -> bytes:
    """Replace up to 20 bytes, with probability 1/2 near the start."""
    data = np.frombuffer(content or b"0", np.uint8).copy()
    end = min(len(data), 2000) if rng.integers(2) else len(data)
    offsets = rng.integers(end, size=int(rng.integers(1, 21)))
    data[offsets] = rng.integers(256, size=len(offsets))
    return data.tobytes()


def _cut(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: int(rng.integers(len(content) + 1))]


def _json_value(content: bytes, rng: np.random.Generator) -> bytes:
    """Replace or remove one value of a JSON file, at any depth."""
    values = json.loads(content)
    entries: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key, inner in list(node.items() if isinstance(node, dict) else enumerate(node)):
            entries.append((node, key))
            if isinstance(inner, dict | list):
                walk(inner)

    walk(values)
    node, key = entries[rng.integers(len(entries))]
    number = node[key]
    if rng.integers(8) == 0:
        del node[key]
    elif isinstance(number, int) and rng.integers(2):
        node[key] = (2 * number, number // 2, number + 1, number - 1, 4 * number)[rng.integers(5)]
    else:
        node[key] = VALUES[rng.integers(len(VALUES))]
    return json.dumps(values).encode()


def _header(content: bytes, rng: np.random.Generator) -> bytes:
    """Change one value in the header of a safetensors file, or its length."""
    length = int.from_bytes(content[:8], "little")
    if rng.integers(4) == 0:
        return int(rng.integers(2**62)).to_bytes(8, "little") + content[8:]
    header = _json_value(content[8 : 8 + length], rng)
    return len(header).to_bytes(8, "little") + header + content[8 + length :]


def _not_finite(content: bytes, rng: np.random.Generator) -> bytes:
    """Overwrite four bytes of the weights with NaN, in float32 and in float16."""
    length = int.from_bytes(content[:8], "little")
    start = 8 + length + 4 * int(rng.integers((len(content) - 8 - length) // 4))
    return content[:start] + b"\xff\x7f\xff\x7f" + content[start + 4 :]
