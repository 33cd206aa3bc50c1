"""Measure the time that `evaluate` spends outside the model, on generated files in the layout of AVSBench.

    python benchmarks/evaluate_overhead.py [CLIPS]

The model is SAM 2 hiera-tiny at 1024 pixels with random weights, the fastest of the usual models, which makes the
overhead largest. Clips have five JPEG frames of 1280 x 720 pixels.
"""

from __future__ import annotations

import sys
import tempfile
import wave
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import Sam2VideoModel

from auralsam2.config import ModelConfig
from auralsam2.data import open_dataset
from auralsam2.data.load import load_clip
from auralsam2.evaluation.options import EvaluationOptions
from auralsam2.evaluation.predictor import AuralPredictor
from auralsam2.evaluation.run import evaluate
from auralsam2.model import AuralSAM2
from auralsam2.modeling.network import AuralNetwork
from auralsam2.modeling.sam2 import sam2_config

FRAMES, HEIGHT, WIDTH, RATE = 5, 720, 1280, 44_100


def write_tree(root: Path, clips: int) -> Path:
    """Write clips of the multi-source test split."""
    noise = np.random.default_rng(0)
    rows = ["vid,uid,s_min,s_sec,a_obj,split,label"]
    for number in range(clips):
        name = f"clip{number:07d}"
        rows.append(f"{name},{name},0,0,dog,test,v1m")
        folder = root / "v1m" / name
        for part in ("frames", "labels_rgb"):
            (folder / part).mkdir(parents=True)
        for t in range(FRAMES):
            picture = noise.integers(0, 255, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8)
            Image.fromarray(picture).resize((WIDTH, HEIGHT)).save(folder / "frames" / f"{t}.jpg", quality=90)
            label = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
            y, x = np.ogrid[:HEIGHT, :WIDTH]
            label[(y - 300) ** 2 + (x - 400 - 60 * t) ** 2 < 200**2] = (128, 128, 0)
            Image.fromarray(label).save(folder / "labels_rgb" / f"{t}.png")
        samples = (noise.standard_normal((FRAMES * RATE, 2)) * 3000).astype("<i2")
        with wave.open(str(folder / "audio.wav"), "wb") as file:
            file.setparams((2, 2, RATE, 0, "NONE", ""))
            file.writeframes(samples.tobytes())
    (root / "metadata.csv").write_text("\n".join(rows) + "\n")
    return root


def main() -> None:
    """Run the command line."""
    clips = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    torch.manual_seed(0)
    sam2 = Sam2VideoModel(sam2_config("tiny"))
    for parameter in sam2.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter.data, std=parameter[0].numel() ** -0.5)
    model = AuralSAM2(AuralNetwork(ModelConfig.released(), sam2).eval(), "random hiera-tiny")
    with tempfile.TemporaryDirectory(prefix="auralsam2-bench-") as folder:
        listing = open_dataset("v1m", write_tree(Path(folder), clips)).listing("test")
        for protocol in ("auralsam2", "per-frame"):
            options = EvaluationOptions(dataset="v1m", split="test", protocol=protocol)
            result = evaluate(
                AuralPredictor(model, options),
                listing,
                options,
                load=load_clip,
                report=Path(folder) / f"{protocol}.json",
            )
            seconds = result.seconds
            print(
                f"{protocol}: {result.scored} clips of {FRAMES} frames, {seconds['total']:.1f} s, of them model "
                f"{seconds['model']:.1f} s; overhead {100 * (result.overhead or 0):.1f} %",
                flush=True,
            )


if __name__ == "__main__":
    main()
