"""Time AuralSAM2 beside other ways to run SAM 2 on the same frames, weights and machine.

    python benchmarks/beside.py [--backbone base-plus] [--frames 8] [--threads N] [--ways meta-fp32 ...] [--json FILE]

Each way runs in a process of its own, with the same random weights and the same generated frames: one click on the
first frame, and propagation to the others. The frames have the size of the network's input, as the packages scale
images differently.

- meta: the video predictor of the package `sam2` (pip install sam2);
- transformers: `Sam2VideoModel` with a session;
- ours-click: AuralSAM2 with the click; ours-audio: by sound alone; ours-all: by sound, the click and a box.

Prints seconds per frame of wall time and of processor time (all threads added), from the frames in memory to all masks,
the peak memory of the process, and the lowest IoU of a frame's mask with that of the first way with the same prompts.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from PIL import Image

from auralsam2.bench.material import (
    SOUND_RATE,
    build_full_network,
    build_small_network,
    describe_machine,
    write_bench_clip,
)
from auralsam2.hub.release_format import sam2_names
from auralsam2.model import AuralSAM2
from auralsam2.modeling.network import AuralNetwork
from auralsam2.types import Box, Point, Prompts

CLICK, BOX = (0.5, 0.5), (0.4, 0.4, 0.6, 0.6)
"""Click and box, as shares of the image."""
JPEG = {"quality": 100, "subsampling": 0}
META_CONFIGS = {
    "tiny": "configs/sam2/sam2_hiera_t.yaml",
    "small": "configs/sam2/sam2_hiera_s.yaml",
    "base-plus": "configs/sam2/sam2_hiera_b+.yaml",
    "large": "configs/sam2/sam2_hiera_l.yaml",
}
RUNNERS = ("meta", "transformers", "ours-click", "ours-audio", "ours-all")
WAYS = tuple(f"{runner}-{dtype}" for runner in RUNNERS for dtype in ("fp32", "bf16"))
OPENVINO = tuple(f"{runner}-openvino" for runner in RUNNERS[2:])


def meta_masks(network: AuralNetwork, backbone: str, pictures: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the masks of Meta's video predictor for the click, (H, W) bool."""
    from sam2.build_sam import build_sam2_video_predictor

    predictor = build_sam2_video_predictor(META_CONFIGS[backbone], device="cpu", apply_postprocessing=False)
    source = network.sam2.state_dict()
    predictor.load_state_dict({name: _meta_tensor(source, name) for name in predictor.state_dict()})
    with tempfile.TemporaryDirectory() as folder:
        for number, picture in enumerate(pictures):
            Image.fromarray(picture).save(Path(folder) / f"{number:05d}.jpg", **JPEG)
        yield np.zeros(0, bool)  # the model is loaded: the time begins
        state = predictor.init_state(folder)
        predictor.add_new_points_or_box(
            state, 0, 1, points=np.array([_click(pictures)], np.float32), labels=np.array([1], np.int32)
        )
        for _, _, logits in predictor.propagate_in_video(state):
            yield (logits[0, 0] > 0).cpu().numpy()


def _meta_tensor(source: dict[str, torch.Tensor], name: str) -> torch.Tensor:
    """Return the tensor of Meta's SAM 2 with a name from the state of transformers' model."""
    table, _, row = sam2_names(name)[0].removesuffix("]").partition("[")
    return source[table][int(row)][None] if row else source[table]


def transformers_masks(network: AuralNetwork, pictures: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the masks of transformers' session for the click, (H, W) bool."""
    from transformers import Sam2VideoProcessor
    from transformers.models.sam2.image_processing_sam2 import Sam2ImageProcessor
    from transformers.models.sam2_video.video_processing_sam2_video import Sam2VideoVideoProcessor

    side = network.image_size
    size = {"height": side, "width": side}
    processor = Sam2VideoProcessor(Sam2ImageProcessor(size=size), Sam2VideoVideoProcessor(size=size))
    model = network.sam2
    yield np.zeros(0, bool)
    session = processor.init_video_session(video=np.stack(pictures), dtype=torch.float32)
    processor.add_inputs_to_inference_session(
        session, frame_idx=0, obj_ids=1, input_points=[[[_click(pictures)]]], input_labels=[[[1]]]
    )
    model(inference_session=session, frame_idx=0)
    for output in model.propagate_in_video_iterator(session):
        (masks,) = processor.post_process_masks([output.pred_masks], original_sizes=[pictures[0].shape[:2]])
        yield masks[0, 0].numpy()


def our_masks(
    network: AuralNetwork, pictures: list[np.ndarray], sound: np.ndarray, prompts: str, dtype: str
) -> Iterator[np.ndarray]:
    """Yield the masks of AuralSAM2, (H, W) bool; `prompts` is click, audio or all."""
    precision = "bf16" if dtype == "openvino" else dtype
    if dtype == "openvino":
        from auralsam2.hub.download import cache_dir
        from auralsam2.modeling.openvino_encoder import OpenVinoEncoder

        network.accelerated_encoder = OpenVinoEncoder(network.sam2, precision, cache_dir() / "openvino")
    model = AuralSAM2(network, "random", precision)
    x, y = _click(pictures)
    points = () if prompts == "audio" else (Point(x=x, y=y),)
    x0, y0, x1, y1 = (share * network.image_size for share in BOX)
    user = Prompts(points=points, boxes=(Box(x0=x0, y0=y0, x1=x1, y1=y1),) if prompts == "all" else ())
    yield np.zeros(0, bool)
    audio = {"audio": "none"} if prompts == "click" else {"sound": sound, "sound_rate": SOUND_RATE}
    for frame in model.segment(iter(pictures), prompts=user, rate=1.0, fps="all", **audio):
        yield frame.mask


def run_way(way: str, backbone: str, frames: int) -> dict[str, Any]:
    """Run one way in this process; returns its times, its peak memory and its masks, packed."""
    runner, dtype = way.rsplit("-", 1)
    network = build_small_network(128) if backbone == "small-128" else build_full_network(backbone)
    with tempfile.TemporaryDirectory() as folder:
        pictures, sound = _material(Path(folder), frames, network.image_size)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bf16" and "ours" not in way):
        if runner == "meta":
            masks = meta_masks(network, backbone, pictures)
        elif runner == "transformers":
            network.sam2.set_attn_implementation({"": "sdpa"})
            network.sam2.vision_encoder.set_attn_implementation("sdpa")
            masks = transformers_masks(network, pictures)
        else:
            masks = our_masks(network, pictures, sound, runner.removeprefix("ours-"), dtype)
        next(masks)
        wall, processor = time.perf_counter(), time.process_time()
        results = [np.packbits(mask) for mask in masks]
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
    return {
        "way": way,
        "wall": wall / frames,
        "processor": processor / frames,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        "masks": [mask.tobytes().hex() for mask in results],
    }


def _material(folder: Path, frames: int, side: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Return frames, (side, side, 3) uint8, a second apart, and their sound, (N, 2) float."""
    video = write_bench_clip(folder / "clip.mp4", frames, 1)
    pictures = []
    with av.open(str(video)) as container:
        for frame in container.decode(video=0):
            # Through JPEG, which Meta's predictor reads.
            frame.to_image().resize((side, side)).save(folder / "frame.jpg", **JPEG)
            with Image.open(folder / "frame.jpg") as picture:
                pictures.append(np.asarray(picture))
    times = np.arange(frames * SOUND_RATE) / SOUND_RATE
    return pictures, 0.3 * np.stack([np.sin(2 * np.pi * 440 * times), np.sin(2 * np.pi * 1200 * times)], 1)


def _click(pictures: list[np.ndarray]) -> list[float]:
    height, width = pictures[0].shape[:2]
    return [CLICK[0] * width, CLICK[1] * height]


def agreement(row: dict[str, Any], rows: list[dict[str, Any]]) -> tuple[str, float] | None:
    """Return the first way with the same prompts, and the lowest IoU of a frame with it; None for that way itself."""
    kind = _prompts(row["way"])
    first = next(other for other in rows if _prompts(other["way"]) == kind)
    if first is row:
        return None
    ious = []
    for ours, theirs in zip(row["masks"], first["masks"], strict=True):
        mask, other = (np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8)) for text in (ours, theirs))
        union = int((mask | other).sum())
        ious.append(float((mask & other).sum() / union) if union else 1.0)
    return first["way"], min(ious)


def _prompts(way: str) -> str:
    match = re.search(r"audio|all", way)
    return match[0] if match else "click"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code is 1 if a way failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", choices=[*META_CONFIGS, "small-128"], default="base-plus")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--threads", type=int, help="CPU threads (default: those of torch)")
    names = [*WAYS, *OPENVINO]
    parser.add_argument("--ways", nargs="+", choices=names, default=list(names), metavar="WAY", help=", ".join(names))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the measurements to a file too")
    parser.add_argument("--one", choices=names, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.one:
        print(json.dumps(run_way(options.one, options.backbone, options.frames)))
        return 0
    machine = describe_machine("cpu")
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    print(f"hiera-{options.backbone}, {options.frames} frames")
    print(f"{'way':22}{'wall s':>8}{'processor s':>13}{'peak GB':>9}  lowest IoU with")
    rows: list[dict[str, Any]] = []
    failed = False
    for way in options.ways:
        command = [sys.executable, __file__, "--one", way, "--backbone", options.backbone]
        command += ["--frames", str(options.frames), "--threads", str(torch.get_num_threads())]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            failed = True
            print(f"{way:22}  failed: {(done.stderr.strip().splitlines() or ['no message'])[-1][:90]}", flush=True)
            continue
        row = json.loads(done.stdout.splitlines()[-1])
        rows.append(row)
        same = agreement(row, rows)
        iou = f"{same[1]:.4f} {same[0]}" if same else ""
        print(f"{way:22}{row['wall']:8.2f}{row['processor']:13.2f}{row['peak_gb']:9.2f}  {iou}", flush=True)
    if options.json is not None:
        measured = [{key: value for key, value in row.items() if key != "masks"} for row in rows]
        report = {"machine": machine, "backbone": options.backbone, "frames": options.frames, "rows": measured}
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
