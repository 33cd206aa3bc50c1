"""SAM 2's image encoder as an OpenVINO graph, which x86 CPUs compute faster than PyTorch's operators."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from filelock import FileLock
from torch import nn
from transformers import Sam2VideoModel

from auralsam2.errors import UnavailableError, UsageError
from auralsam2.modeling.image_encoder import FramePyramid, encoder_hash
from auralsam2.modeling.sam2 import input_side
from auralsam2.utils.atomic_io import Staging, writing

MAX_GRAPHS = 2
"""Graphs in the cache; a further one replaces the one that was used least recently."""
_GRAPH, _WEIGHTS, _COMPILED = "encoder.xml", "encoder.bin", "compiled"
_PRECISIONS = {"fp32": "f32", "bf16": "bf16"}


class OpenVinoEncoder:
    """Image encoder that OpenVINO computes on the CPU, frame by frame.

    The first use of a model converts and compiles its encoder. Later uses load the graph and the compiled form from the
    cache.

    Args:
        sam2: SAM 2 on the CPU.
        dtype: fp32 or bf16.
        cache: folder of converted graphs; see `MAX_GRAPHS`.

    Raises:
        UsageError: OpenVINO is not installed, or `dtype` is another precision.
        UnavailableError: the encoder cannot be converted, or the graph in the cache is damaged.
        OutputError: the cache cannot be written.
    """

    def __init__(self, sam2: Sam2VideoModel, dtype: str, cache: Path) -> None:
        openvino = _import_openvino()
        if dtype not in _PRECISIONS:
            raise UsageError(f"`backend=openvino` computes in {' or '.join(_PRECISIONS)}, not in {dtype}")
        folder = cache / encoder_hash(sam2, openvino.__version__)
        with writing(cache):
            cache.mkdir(parents=True, exist_ok=True)
            with FileLock(cache / f"{folder.name}.lock"):  # other processes wait for the graph
                if not (folder / _GRAPH).is_file():
                    _convert(sam2, folder)
                os.utime(folder)
                _remove_others(cache, folder)
        settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": _PRECISIONS[dtype],
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
            "CACHE_DIR": str(folder / _COMPILED),
        }
        try:
            self._compiled = openvino.Core().compile_model(str(folder / _GRAPH), "CPU", settings)
        except RuntimeError as error:
            raise UnavailableError(f"{folder}: OpenVINO cannot read this graph; delete the folder") from error

    def __call__(self, pixels: torch.Tensor) -> FramePyramid:
        """Encode normalised images (T, 3, S, S); the maps are float32."""
        rows = [
            [torch.from_numpy(image) for image in self._compiled([frame[None].float().numpy()]).to_tuple()]
            for frame in pixels
        ]
        fine, middle, coarse = (torch.cat(maps) for maps in zip(*rows, strict=True))
        return FramePyramid((fine, middle, coarse))


@contextmanager
def _without_usage_data() -> Iterator[None]:
    """Keep OpenVINO from sending usage data over the network: it sends none while the variable `CI` is set."""
    earlier = os.environ.get("CI")
    os.environ["CI"] = "true"
    try:
        yield
    finally:
        if earlier is None:
            del os.environ["CI"]
        else:
            os.environ["CI"] = earlier


def _import_openvino() -> ModuleType:
    try:
        with _without_usage_data():
            import openvino
    except ImportError:
        raise UsageError("`backend=openvino` needs OpenVINO: pip install 'auralsam2[openvino]'") from None
    return openvino


class _Maps(nn.Module):
    """Image encoder with a tuple of tensors as output, as a converter needs it."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the neck's maps at strides 4, 8 and 16."""
        return tuple(self.encoder(pixels, return_dict=True).fpn_hidden_states)


def _convert(sam2: Sam2VideoModel, folder: Path) -> None:
    """Write the graph of an image encoder for one image of its size."""
    openvino = _import_openvino()
    side = input_side(sam2)
    image = torch.zeros(1, 3, side, side)
    try:
        with _without_usage_data(), torch.no_grad(), warnings.catch_warnings(action="ignore"):
            graph = openvino.convert_model(_Maps(sam2.vision_encoder), example_input=image, input=[tuple(image.shape)])
    except Exception as error:  # converters raise errors of any class
        raise UnavailableError(
            f"`backend=openvino` cannot convert this image encoder ({type(error).__name__}); use `backend=torch`"
        ) from error
    with Staging(folder) as staging:
        openvino.save_model(graph, staging.path / _GRAPH, compress_to_fp16=False)
        staging.publish([_WEIGHTS, _GRAPH])


def _remove_others(cache: Path, folder: Path) -> None:
    """Remove the graphs beyond `MAX_GRAPHS`, those used least recently, but never `folder`."""
    others = sorted((path for path in cache.iterdir() if path.is_dir() and path != folder), key=_age, reverse=True)
    for path in others[MAX_GRAPHS - 1 :]:
        shutil.rmtree(path, ignore_errors=True)
        path.with_suffix(".lock").unlink(missing_ok=True)


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # another process removes it
        return 0.0
