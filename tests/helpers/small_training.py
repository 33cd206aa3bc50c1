"""A tiny training run: a StampAVS of plain rectangles, a SAM 2 of few random layers, a small fuser."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from auralsam2.training.recipe import TrainingRecipe
from helpers.dataset_trees import write_stampavs
from helpers.small_networks import small_sam2
from helpers.small_text import save_small_text

SCENES = (
    ("train_00000", "train", "standard", "single", 3),
    ("train_00001", "train", "standard", "single", 5),
    ("train_00002", "train", "standard", "silence", 3),
    ("train_00003", "train", "standard", "single", 4),
    ("train_00004", "train", "standard", "single", 3),
    ("val_00000", "val", "standard", "single", 3),
    ("val_00001", "val", "standard", "silence", 3),
)


def write_parts(folder: Path, scenes: Sequence[tuple[str, str, str, str, int]] = SCENES) -> Path:
    """The data set and the frozen parts."""
    write_stampavs(folder / "stamp", scenes)
    small_sam2(64, width=128).save_pretrained(folder / "sam2")
    save_small_text(folder / "text")
    return folder


def values(folder: Path, *, text: bool = False, **trainer: Any) -> dict[str, Any]:
    """A recipe over `write_parts`, as in YAML."""
    fuser: dict[str, Any] = {
        "width": 128,
        "inner_width": 64,
        "visual_depths": [1, 1, 1],
        "token_depth": 1,
    }
    model: dict[str, Any] = {
        "sam2": str(folder / "sam2"),
        "audio_encoder": {"channels": [8, 8, 8, 8], "hidden": 16, "embedding": 64},
        "clip": {"frames": 3},
    }
    if text:
        fuser |= {"modality": "audio+text", "text_width": 32}
        model["text"] = str(folder / "text")
    return {
        "variant": "released",
        "model": model | {"fuser": fuser},
        "data": {"dataset": "stampavs-ref" if text else "stampavs", "root": str(folder / "stamp"), "workers": 0},
        "optimiser": {"rate": 1e-3, "audio_encoder_rate": 1.0},
        "contrast": {"samples": 16},
        "trainer": {
            "max_steps": 4,
            "accumulate": 2,
            "precision": "fp32",
            "accelerator": "cpu",
            "checkpoint_every": 1,
            "validate_every": 2,
            "log_every": 1,
        }
        | trainer,
    }


def recipe(folder: Path, *, text: bool = False, **trainer: Any) -> TrainingRecipe:
    """The same, built."""
    return TrainingRecipe.from_dict(values(folder, text=text, **trainer))
