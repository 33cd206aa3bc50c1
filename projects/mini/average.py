"""`python -m projects.mini.average MODEL=SHARE... --out FOLDER`: average the weights of models that share a start.

The models are complete folders, as `bundle` writes them, of one architecture. All their weights are averaged: fuser,
audio encoder and SAM 2. Text encoder and configuration are those of the last model; a namer is left out, because it is
trained on the features of the result.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import torch

from auralsam2.config import SAM2_FOLDER, TEXT_FOLDER
from auralsam2.errors import ConfigError, UsageError
from auralsam2.hub import download
from auralsam2.utils.atomic_io import Staging, writing
from auralsam2.utils.weights import CONFIG_FILE, load_weights, save_weights
from projects.mini.stage_loop import exit_code

PARTS = ("", SAM2_FOLDER)
"""Folders whose weights are averaged."""


def average_models(shares: Mapping[Path, float], out: Path) -> None:
    """Write the weighted mean of models, as float16; an existing model is replaced.

    Args:
        shares: weight of each model folder; the sum is 1.
        out: folder to write.

    Raises:
        UsageError: there are fewer than two models, or the shares do not sum to 1.
        ConfigError: the models have other tensors than the first one.
        UnavailableError: a model has no weights.
    """
    if len(shares) < 2 or abs(sum(shares.values()) - 1) > 1e-6:
        raise UsageError(f"shares {', '.join(map(str, shares.values()))} must be of two models or more, and sum to 1")
    *_, last = shares
    with Staging(out.parent) as staging, writing(out):
        draft = staging.path / out.name
        for part in PARTS:
            (draft / part).mkdir()
            shutil.copy(last / part / CONFIG_FILE, draft / part / CONFIG_FILE)
            save_weights(_mean(shares, part), draft / part, half=True)
        if (last / TEXT_FOLDER).is_dir():
            shutil.copytree(last / TEXT_FOLDER, draft / TEXT_FOLDER)
        staging.publish([out.name])


def _mean(shares: Mapping[Path, float], part: str) -> dict[str, torch.Tensor]:
    """Average the weights in a subfolder; integers are those of the first model."""
    mean: dict[str, torch.Tensor] = {}
    for model, share in shares.items():
        state = {
            name: value.float() if value.is_floating_point() else value
            for name, value in load_weights(model / part).items()
        }
        if not mean:
            mean = {name: value * share if value.is_floating_point() else value for name, value in state.items()}
            continue
        if {name: value.shape for name, value in state.items()} != {name: value.shape for name, value in mean.items()}:
            raise ConfigError(
                f"{model / part}: other tensors than those of the first model: average models of one architecture"
            )
        for name, value in state.items():
            if value.is_floating_point():
                mean[name] = mean[name] + value * share
    return mean


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m projects.mini.average", description="Average the weights of models that share a start."
    )
    parser.add_argument("models", nargs="+", metavar="MODEL=SHARE", help="name or folder of a model, and its share")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    options = parser.parse_args(arguments)

    def average() -> None:
        shares = {}
        for text in options.models:
            model, _, share = text.rpartition("=")
            try:
                shares[download.resolve(model)] = float(share)
            except ValueError as error:
                raise UsageError(f"{text}: give a model and its share, such as mini=0.3") from error
        average_models(shares, options.out)

    return exit_code(average)


if __name__ == "__main__":
    sys.exit(main())
