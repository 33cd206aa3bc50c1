"""Compare ways to compute SAM 2's image encoder on the CPU, in one run.

    python benchmarks/encoder_backends.py [--backbone base-plus] [--image-size 1024] [--rounds 3] [--threads N]
        [--ways torch-fp32 ...] [--json FILE]

The encoder has random weights. Each way encodes the same image; the rounds take all ways in turn. Prints for each way:

- processor s, wall s: median processor time (all threads added) and wall time of an image, in seconds;
- first s: wall time of the first image with its preparation (conversion, compilation);
- difference: relative difference of the stride-16 map to that of torch in float32;
- of GEMM rate: floating-point operations a second, divided by those of one matrix product in the same precision on this
  machine.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import nn
from transformers import Sam2VideoModel

from auralsam2.bench.material import build_sam2, describe_machine
from auralsam2.bench.roofline import encoder_operations, gemm_rate
from auralsam2.modeling.image_encoder import encode_pyramid
from auralsam2.modeling.openvino_encoder import OpenVinoEncoder
from auralsam2.modeling.sam2 import input_side

Encoder = Callable[[torch.Tensor], torch.Tensor]


def torch_encoder(sam2: Sam2VideoModel, dtype: torch.dtype) -> Encoder:
    """Encode with PyTorch's operators, in bfloat16 by autocast."""

    def encode(pixels: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            return encode_pyramid(sam2, pixels).maps[2]

    return encode


def sdpa_encoder(sam2: Sam2VideoModel, dtype: torch.dtype) -> Encoder:
    """Encode with PyTorch's operators and its fused attention."""
    # A change of the attention of `sam2` itself would compile the other ways again.
    other = copy.deepcopy(sam2)
    other.vision_encoder.set_attn_implementation("sdpa")
    return torch_encoder(other, dtype)


def compiled_encoder(sam2: Sam2VideoModel, dtype: torch.dtype, **options: bool) -> Encoder:
    """Encode with `torch.compile`, which needs a C++ compiler, and takes the options of inductor."""
    encoder = torch.compile(torch_encoder(sam2, dtype), dynamic=False, options=options or None)
    return lambda pixels: encoder(pixels)


class CoarseMap(nn.Module):
    """Image encoder with its stride-16 map as the only output, as an exporter needs it."""

    def __init__(self, sam2: Sam2VideoModel) -> None:
        super().__init__()
        self.encoder = sam2.vision_encoder

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the neck's map at stride 16."""
        return self.encoder(pixels, return_dict=True).fpn_hidden_states[2]


def onnx_encoder(sam2: Sam2VideoModel, dtype: torch.dtype, folder: Path) -> Encoder:
    """Encode with ONNX Runtime, which needs the packages `onnxruntime` and `onnxscript`."""
    import onnxruntime

    side, file = input_side(sam2), folder / "encoder.onnx"
    folder.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(CoarseMap(sam2), (torch.zeros(1, 3, side, side),), file, dynamo=True, verbose=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda pixels: torch.from_numpy(session.run(None, {name: pixels.numpy()})[0])


def channels_last_encoder(sam2: Sam2VideoModel, dtype: torch.dtype) -> Encoder:
    """Encode an image whose channels lie last in memory."""
    encode = torch_encoder(sam2, dtype)
    return lambda pixels: encode(pixels.to(memory_format=torch.channels_last))


def int8_encoder(sam2: Sam2VideoModel, dtype: torch.dtype) -> Encoder:
    """Encode with linear layers of int8 weights and activations, quantised at run time."""
    quantised = torch.ao.quantization.quantize_dynamic(sam2.vision_encoder, {nn.Linear}, torch.qint8)

    def encode(pixels: torch.Tensor) -> torch.Tensor:
        return quantised(pixels, return_dict=True).fpn_hidden_states[2]

    return encode


def openvino_encoder(sam2: Sam2VideoModel, dtype: torch.dtype, cache: Path) -> Encoder:
    """Encode with an OpenVINO graph."""
    encoder = OpenVinoEncoder(sam2, "bf16" if dtype == torch.bfloat16 else "fp32", cache)
    return lambda pixels: encoder(pixels).maps[2]


CONVERTED = (onnx_encoder, openvino_encoder)
"""Ways that write a graph into a folder."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    makers: dict[str, tuple[Callable[..., Encoder], torch.dtype]] = {
        "torch-fp32": (torch_encoder, torch.float32),
        "torch-bf16": (torch_encoder, torch.bfloat16),
        "sdpa-bf16": (sdpa_encoder, torch.bfloat16),
        "channels-last-bf16": (channels_last_encoder, torch.bfloat16),
        "compile-bf16": (compiled_encoder, torch.bfloat16),
        "compile-tuned-bf16": (partial(compiled_encoder, freezing=True, max_autotune=True), torch.bfloat16),
        "int8": (int8_encoder, torch.float32),
        "onnx-fp32": (onnx_encoder, torch.float32),
        "openvino-fp32": (openvino_encoder, torch.float32),
        "openvino-bf16": (openvino_encoder, torch.bfloat16),
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", choices=["tiny", "small", "base-plus", "large"], default="base-plus")
    parser.add_argument("--image-size", type=int, default=1024, metavar="PX", help="side of the image (default 1024)")
    parser.add_argument("--rounds", type=int, default=3, help="images for each way after the first (default 3)")
    parser.add_argument("--threads", type=int, help="CPU threads (default: those of torch)")
    parser.add_argument(
        "--ways", nargs="+", choices=makers, default=list(makers), metavar="WAY", help=", ".join(makers)
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the measurements to a file too")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    machine = describe_machine("cpu")
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        rows = measure(
            build_sam2(options.backbone, options.image_size),
            {name: makers[name] for name in options.ways},
            options.rounds,
            Path(folder),
        )
    print(f"hiera-{options.backbone} at {options.image_size} px, median of {options.rounds} images")
    print(f"{'way':20}{'processor s':>12}{'wall s':>9}{'first s':>9}{'difference':>12}{'of GEMM rate':>14}")
    for row in rows:
        if "error" in row:
            print(f"{row['way']:20}  not available: {row['error']}")
        else:
            print(
                f"{row['way']:20}{row['processor']:12.2f}{row['wall']:9.2f}{row['first']:9.1f}{row['difference']:12.5f}"
                f"{row['roofline']:14.2f}"
            )
    if options.json is not None:
        report = {"machine": machine, "backbone": options.backbone, "image_size": options.image_size, "rows": rows}
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


def measure(
    sam2: Sam2VideoModel,
    makers: dict[str, tuple[Callable[..., Encoder], torch.dtype]],
    rounds: int,
    folder: Path,
) -> list[dict[str, Any]]:
    """Measure the ways in turn; returns a row for each, with `error` for those that this machine does not have."""
    side = input_side(sam2)
    pixels = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    reference = encode_pyramid(sam2, pixels).maps[2]
    operations = encoder_operations(sam2)
    rates = {dtype: gemm_rate(dtype, torch.device("cpu")) for dtype in (torch.float32, torch.bfloat16)}
    rows: dict[str, dict[str, Any]] = {}
    encoders: dict[str, Encoder] = {}
    for name, (make, dtype) in makers.items():
        began = time.perf_counter()
        try:
            with warnings.catch_warnings(action="ignore"):
                encoder = make(sam2, dtype, folder / name) if make in CONVERTED else make(sam2, dtype)
                output = encoder(pixels)
        except Exception as error:
            rows[name] = {"way": name, "error": " ".join(str(error).split())[:100]}
            continue
        difference = float((output.float() - reference).norm() / reference.norm())
        rows[name] = {"way": name, "first": time.perf_counter() - began, "difference": difference, "times": []}
        encoders[name] = encoder
    for _ in range(rounds):
        for name, encoder in encoders.items():
            wall, processor = time.perf_counter(), time.process_time()
            encoder(pixels)
            rows[name]["times"].append((time.process_time() - processor, time.perf_counter() - wall))
    for name in encoders:
        processor, wall = (median(times) for times in zip(*rows[name].pop("times"), strict=True))
        rate = rates[makers[name][1]]
        rows[name] |= {"processor": processor, "wall": wall, "roofline": operations / rate / wall}
    return list(rows.values())


if __name__ == "__main__":
    sys.exit(main())
