"""Frames a second of image encoder, fuser, mask decoder and memory, each alone.

    python experiments/stage_speed.py [--model mini] [--rounds 3] [--write docs/benchmarks/results.md]

The bundled clip is segmented by its audio and by a click, in turn, after a warm-up. A stage has one column for the CPU
and, on a machine with a GPU, one for it; the values are medians of wall time. `--write` replaces the section `stages`
of a document.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import median

import torch

from auralsam2.errors import AuralError
from auralsam2.model import AuralSAM2
from auralsam2.samples import demo_clip
from auralsam2.types import Point, Prompts
from reporting import conditions_sentence, markdown_table, measurement_conditions, publish

STAGES = ("encoder", "fuser", "decoder", "memory")
KINDS = ("audio", "click")


def stage_seconds(model: AuralSAM2, kind: str) -> dict[str, float]:
    """Return the seconds of each stage per frame, and those of all four as `network`.

    Args:
        model: on its device.
        kind: `audio`, or `click` for one point on the first frame without audio.
    """
    prompts = Prompts() if kind == "audio" else Prompts(points=(Point(x=192, y=192, time=0.0),))
    result = model.segment(demo_clip(), prompts=prompts, audio="track" if kind == "audio" else "none")
    frames = sum(1 for _ in result)
    seconds = {name: result.clock.seconds[name] / frames for name in STAGES}
    return seconds | {"network": result.clock.network / frames}


def measure_stages(model: AuralSAM2, rounds: int) -> dict[tuple[str, str], float]:
    """Return the median seconds per frame by kind of prompts and stage."""
    runs: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    for number in range(rounds + 1):
        for kind in KINDS:
            seconds = stage_seconds(model, kind)
            if number:
                runs[kind].append(seconds)
    return {(kind, name): median(run[name] for run in runs[kind]) for kind in KINDS for name in (*STAGES, "network")}


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="mini")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each kind; default: %(default)s")
    parser.add_argument("--write", type=Path, help="document with a section for the table")
    options = parser.parse_args()
    torch.set_num_threads(1)
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    try:
        models = {device: AuralSAM2.from_pretrained(options.model, device, "fp32") for device in devices}
    except AuralError as error:
        parser.error(str(error))
    seconds = {device: measure_stages(model, options.rounds) for device, model in models.items()}
    head = ["prompts", "stage", *(f"{device}: frames a second" for device in devices)]
    rows = [
        [kind, name, *(_rate(seconds[device][kind, name]) for device in devices)]
        for kind in KINDS
        for name in (*STAGES, "network")
    ]
    text = f"{conditions_sentence(measurement_conditions(models['cpu'], 0), 'the bundled clip')}"
    if len(devices) > 1:
        text += f" GPU: {torch.cuda.get_device_name()}."
    text += f"\n\n{markdown_table(head, rows)}"
    publish(text, options.write, "stages")
    return 0


def _rate(seconds: float) -> str:
    return f"{1 / seconds:.1f}" if seconds else "-"


if __name__ == "__main__":
    sys.exit(main())
