"""`auralsam2 bench`: speed and memory on this machine, as a table or as JSON; progress on stderr."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
import typer

from auralsam2.bench import memory, prompting, roofline, speed
from auralsam2.bench.material import (
    HEIGHT,
    WIDTH,
    build_full_network,
    describe_machine,
    write_bench_clip,
    write_small_model,
)
from auralsam2.errors import EXIT_SOME_FAILED, UsageError
from auralsam2.hub import download
from auralsam2.model import AuralSAM2, pick_device, pick_dtype
from auralsam2.modeling.sam2 import Size
from auralsam2.utils.devices import DTYPES
from auralsam2.utils.timing import STAGES

SPEED_FPS = 25
"""Frames per second of the video for speed: all are decoded, one per second is segmented."""
MEMORY_FPS = 5
"""Frames per second of the videos for memory; few, so that ten minutes are encoded in seconds."""
SHORT_MINUTES = 1.0
STEADY_MINUTES = 0.5
"""Length of a video whose peak no longer depends on its length."""
_LABELS = (
    ("network", "network, all four"),
    ("wall", "wall time"),
    ("network_share", "network / wall"),
    ("click_network", "network, click instead"),
    ("click_wall", "wall time, click instead"),
    ("audio_overhead", "audio overhead, network"),
    ("audio_overhead_wall", "audio overhead, wall"),
    ("roofline_share", "encoder / GEMM rate"),
)
_PROMPTING_LABELS = (
    ("first_pass_visual", "a frame: points, box"),
    ("first_pass_audio", "a frame: audio, points, box"),
    ("audio_overhead", "audio overhead"),
    ("click", "a click on an encoded frame"),
    ("click_share", "click / frame of the first pass"),
)


def report_speed(
    model: str | None,
    dtypes: tuple[str, ...],
    *,
    frames: int = 10,
    device: str = "auto",
    threads: int | None = None,
    as_json: bool = False,
) -> None:
    """Measure the time per frame of each stage, prompted by audio and by a click, and print a table or a JSON object.

    The whole pipeline runs, files included, on parts of one clip window each. Each part runs twice, prompted by audio
    and by one point. Medians over the parts reduce the influence of other load on the machine. `encoder / GEMM rate` is
    the rate of floating-point operations of the image encoder, divided by that of one large matrix product.

    Args:
        model: name, folder or hub id; None for random weights at the released size.
        dtypes: precisions to measure, of fp32, bf16 and fp16.
        frames: number of frames of the generated video, one per second; at least 2.
        device: auto, cpu, cuda or mps.
        threads: CPU threads; None for torch's default.
        as_json: print JSON.
    """
    loaded = _loaded(model, "large", dtypes, device, threads)
    window = loaded.config.clip.frames
    parts = speed.stretches(frames, window)
    with tempfile.TemporaryDirectory(prefix="auralsam2-bench-") as folder:
        video = write_bench_clip(Path(folder) / "clip.mp4", max(frames, speed.WARM_UP), SPEED_FPS)
        results = {
            dtype: speed.measure_speed(
                AuralSAM2(loaded.network, loaded.name, dtype), video, Path(folder), parts, _note
            ).summary()
            for dtype in dtypes
        }
    operations = roofline.encoder_operations(loaded.network.sam2)
    for dtype, numbers in results.items():
        rate = roofline.gemm_rate(DTYPES[dtype], loaded.network.device)
        numbers["roofline_share"] = operations / numbers["stages"]["encoder"] / rate
    report = {
        "machine": describe_machine(loaded.network.device.type),
        "model": loaded.name,
        "image_size": loaded.network.image_size,
        "video": {"width": WIDTH, "height": HEIGHT, "fps": SPEED_FPS, "seconds": frames},
        "frames_per_run": parts[0][1] - parts[0][0],
        "runs_per_prompt": len(parts),
        "dtypes": results,
    }
    print(json.dumps(report) if as_json else "\n".join(_speed_lines(report)))


def report_prompting(
    model: str | None,
    dtypes: tuple[str, ...],
    *,
    backbone: Size = "large",
    frames: int = 5,
    rounds: int = 2,
    device: str = "auto",
    threads: int | None = None,
    as_json: bool = False,
) -> None:
    """Measure interactive sessions: points and a box with and without audio, and later clicks on encoded frames.

    `backbone` is that of random weights, `large` or `base-plus`; `rounds` is the number of sessions of each kind; the
    other arguments are those of `report_speed`.
    """
    loaded = _loaded(model, backbone, dtypes, device, threads)
    with tempfile.TemporaryDirectory(prefix="auralsam2-bench-") as folder:
        video = write_bench_clip(Path(folder) / "clip.mp4", frames, SPEED_FPS)
        results = {
            dtype: prompting.measure_prompting(
                AuralSAM2(loaded.network, loaded.name, dtype), video, frames, rounds, _note
            ).summary()
            for dtype in dtypes
        }
    report = {
        "machine": describe_machine(loaded.network.device.type),
        "model": loaded.name,
        "image_size": loaded.network.image_size,
        "frames": frames,
        "rounds": rounds,
        "dtypes": results,
    }
    print(json.dumps(report) if as_json else "\n".join(_prompting_lines(report)))


def report_memory(model: str | None, *, minutes: float = 10.0, as_json: bool = False) -> None:
    """Compare the peak memory of a long and a short video of 1280 × 720 pixels, with all outputs.

    The short video is long enough that its peak is that of a steady state: a tenth of the long one, at least 30 s and
    at most one minute; half of the long one, if that is less than 30 s. Without a model, a small one with random
    weights is measured: growth does not depend on the model.

    Raises:
        AuralError: the model is missing, or a measured process failed.
        typer.Exit: with code 1, after the report, if the ratio is above the limit.
    """
    if minutes <= 0:
        raise UsageError(f"`minutes={minutes:g}` must be above 0")
    if model is not None:
        download.check_available(model)
    comparison = compare_memory(model, short_minutes(minutes) * 60, minutes * 60)
    if as_json:
        print(json.dumps({"model": model or "random, small", **comparison.summary()}))
    else:
        for peak in (comparison.short, comparison.long):
            print(
                f"{peak.video_seconds / 60:g} min, {peak.frames} frames: peak {peak.peak_bytes / 1e6:.1f} MB, "
                f"{peak.loaded_bytes / 1e6:.1f} MB of it before the first frame"
            )
        verdict = "does not grow" if comparison.passed else "GROWS with the length"
        print(f"ratio {comparison.ratio:.3f}, limit {memory.LIMIT:g}: memory {verdict}")
    if not comparison.passed:
        raise typer.Exit(EXIT_SOME_FAILED)


def short_minutes(minutes: float) -> float:
    """Return the length of the short video for a long one, both in minutes; see `report_memory`."""
    return min(SHORT_MINUTES, max(minutes / 10, STEADY_MINUTES), minutes / 2)


def compare_memory(model: str | None, short: float, long: float) -> memory.MemoryComparison:
    """Measure the peak memory for two lengths in seconds; without a model, that of a small one with random weights."""
    with tempfile.TemporaryDirectory(prefix="auralsam2-bench-") as folder:
        name = model or str(write_small_model(Path(folder) / "model"))

        def measure_peak(length: str, seconds: float) -> memory.MemoryPeak:
            _note(f"writing a video of {seconds:g} s")
            video = write_bench_clip(Path(folder) / f"{length}.mp4", seconds, MEMORY_FPS)
            _note(f"segmenting {seconds:g} s in a separate process")
            return memory.measure_memory(name, video, seconds, Path(folder) / "results")

        return memory.MemoryComparison(short=measure_peak("short", short), long=measure_peak("long", long))


def _loaded(model: str | None, backbone: Size, dtypes: tuple[str, ...], device: str, threads: int | None) -> AuralSAM2:
    """Check the options and load the model; without a name, build one with random weights."""
    torch_device = pick_device(device)
    for dtype in dtypes:
        pick_dtype(dtype, torch_device)
    if threads is not None:
        torch.set_num_threads(threads)
    if model is not None:
        return AuralSAM2.from_pretrained(model, device, "fp32")
    _note(f"initialising random weights at hiera-{backbone} size")
    return AuralSAM2(build_full_network(backbone).to(torch_device), f"random hiera-{backbone}")


def _prompting_lines(report: dict[str, Any]) -> list[str]:
    """Return the report of `report_prompting` as lines of text."""
    dtypes = report["dtypes"]
    return [
        _machine_line(report["machine"]),
        f"{report['model']} at {report['image_size']} px; {report['rounds']} sessions of each kind on "
        f"{report['frames']} frames",
        "",
        *_columns("seconds", 34, dtypes, ((label, key) for key, label in _PROMPTING_LABELS)),
    ]


def _speed_lines(report: dict[str, Any]) -> list[str]:
    """Return the report of `report_speed` as lines of text."""
    video = report["video"]
    dtypes = {dtype: numbers | numbers["stages"] for dtype, numbers in report["dtypes"].items()}
    rows = [(name, name) for name in STAGES] + [(label, key) for key, label in _LABELS]
    return [
        _machine_line(report["machine"]),
        f"{report['model']} at {report['image_size']} px; video of {video['width']}x{video['height']} at "
        f"{video['fps']} fps; {report['runs_per_prompt']} runs of {report['frames_per_run']} frames for each prompt",
        "",
        *_columns("seconds per frame", 28, dtypes, rows),
    ]


def _columns(
    head: str, width: int, dtypes: dict[str, dict[str, Any]], rows: Iterable[tuple[str, str]]
) -> Iterator[str]:
    """Yield the lines of a table with one column per precision.

    Args:
        head: heading of the labels.
        width: of the labels, in characters.
        dtypes: values by precision and key.
        rows: labels and keys.
    """
    yield f"{head:{width}}" + "".join(f"{dtype:>10}" for dtype in dtypes)
    for label, key in rows:
        yield f"{label:{width}}" + "".join(f"{numbers[key]:10.4f}" for numbers in dtypes.values())


def _machine_line(on: dict[str, Any]) -> str:
    return (
        f"auralsam2 {on['auralsam2']}, torch {on['torch']}, {on['cpu']}, {on['threads']} threads, device {on['device']}"
    )


def _note(text: str) -> None:
    print(f"auralsam2: {text}", file=sys.stderr)
