"""Run a training recipe with Lightning."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.utilities import rank_zero_only

from auralsam2.baselines.network import AdapterNetwork
from auralsam2.errors import ConfigError, OutputError, UsageError
from auralsam2.modeling.network import AuralNetwork
from auralsam2.training.callbacks import DivergenceStop, ModelCheckpoints, PanelCallback
from auralsam2.training.dataset import training_samples, validation_samples
from auralsam2.training.initialise import build_network
from auralsam2.training.lightning_module import AuralModule, BaselineModule, ClipModule
from auralsam2.training.recipe import TrainerConfig, TrainingRecipe
from auralsam2.training.semantic_recipe import SemanticRecipe
from auralsam2.utils.atomic_io import write_file, writing

RECIPE_FILE, CHECKPOINT = "recipe.yaml", "last.ckpt"
Recipe = TrainingRecipe | SemanticRecipe


def train(
    recipe: TrainingRecipe,
    out: Path,
    *,
    resume: bool = False,
    bar: bool = False,
    on_message: Callable[[str], None] = lambda _line: None,
) -> ClipModule:
    """Train, from the start or from the last checkpoint.

    The folder of the run holds `recipe.yaml` with presets filled in; `last.ckpt`; `log/`, a table of each start;
    `pictures/`, an image of each validation; and the models `best/` and `last/`, for `auralsam2 segment --model`.

    Args:
        recipe: its settings.
        out: folder of the run.
        resume: continue from its checkpoint, if there is one.
        bar: show a progress bar.
        on_message: called with a line of text at the start and at each validation.

    Returns:
        the trained module.

    Raises:
        UsageError: the folder holds a run, and `resume` is false.
        ConfigError: the run in the folder has another recipe, or the recipe does not match its parts.
        UnavailableError: a part or the data are missing.
        OutputError: the folder cannot be written.
    """
    first = rank_zero_only.rank == 0  # other processes may already see the files of the first
    if first:
        _check(recipe, out, resume)
    module = build_module(recipe)
    if first:
        on_message(f"{len(module.clips)} clips, {module.steps} steps; validation on {len(module.held_out)} clips")
        _write_recipe(recipe, out)
    callbacks = [DivergenceStop(), ModelCheckpoints(out, on_message), PanelCallback(out)]
    fit(module, module.steps, recipe.trainer, out, resume=resume, bar=bar, callbacks=callbacks, on_message=on_message)
    return module


def prepare_folder(recipe: Recipe, out: Path, *, resume: bool) -> None:
    """Check that a run may use its folder, and write its recipe; errors as of `train`."""
    _check(recipe, out, resume)
    _write_recipe(recipe, out)


def fit(
    module: pl.LightningModule,
    steps: int,
    config: TrainerConfig,
    out: Path,
    *,
    resume: bool,
    bar: bool,
    callbacks: list[Callback],
    on_message: Callable[[str], None],
) -> None:
    """Train a module for some optimiser steps, from the start or from the checkpoint in the folder, as `train` does."""
    _quiet()
    checkpoint, first = out / CHECKPOINT, rank_zero_only.rank == 0
    trainer = _trainer(config, steps, out, bar, callbacks)
    if first:
        with writing(out):
            out.mkdir(parents=True, exist_ok=True)
    resumes = resume and checkpoint.is_file()
    if resumes and first:
        on_message(f"continuing from {checkpoint}")
    try:
        trainer.fit(module, ckpt_path=checkpoint if resumes else None, weights_only=True)
    except SystemExit as end:
        if trainer.interrupted:  # Lightning turns Ctrl-C into SystemExit
            raise KeyboardInterrupt from end
        raise


def build_module(recipe: TrainingRecipe) -> ClipModule:
    """Build network, data and Lightning module of a recipe."""
    network, data = build_network(recipe), recipe.data
    clips, validation = training_samples(data, data.split), validation_samples(data)
    if isinstance(network, AdapterNetwork):
        return BaselineModule(network, recipe, clips, validation)
    assert isinstance(network, AuralNetwork)
    return AuralModule(network, recipe, clips, validation)


def _write_recipe(recipe: Recipe, out: Path) -> None:
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    write_file(out / RECIPE_FILE, recipe.to_yaml().encode())


def _trainer(config: TrainerConfig, steps: int, out: Path, bar: bool, callbacks: list[Callback]) -> pl.Trainer:
    passes = config.accumulate // config.clips_per_pass
    # The draws of the whole run form one epoch of unknown length, so intervals are counted in passes.
    validate_every = min(config.validate_every, steps) * passes
    checkpoints = ModelCheckpoint(
        dirpath=out,
        filename=CHECKPOINT.removesuffix(".ckpt"),
        every_n_train_steps=config.checkpoint_every,
        save_on_train_epoch_end=False,
        enable_version_counter=False,
    )
    return pl.Trainer(
        accelerator=config.accelerator,
        devices=config.devices,
        # The projections have no gradient without a contrastive loss.
        strategy="ddp_find_unused_parameters_true" if config.devices > 1 else "auto",
        precision="bf16-mixed" if config.precision == "bf16" else "32-true",
        max_steps=steps,
        max_epochs=-1,
        accumulate_grad_batches=passes,
        gradient_clip_val=config.clip_norm,
        val_check_interval=validate_every,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        log_every_n_steps=config.log_every,
        use_distributed_sampler=False,
        logger=CSVLogger(out, name="log"),
        callbacks=[checkpoints, *callbacks],
        enable_progress_bar=bar,
        enable_model_summary=False,
    )


def _check(recipe: Recipe, out: Path, resume: bool) -> None:
    """Check that the folder may be used."""
    file = out / RECIPE_FILE
    if not file.exists():
        if (out / CHECKPOINT).exists():
            raise OutputError(f"{out}: has a checkpoint but no {RECIPE_FILE}: choose another `out` in the recipe")
        return
    if not resume:
        raise UsageError(
            f"{out}: there is a run already: continue it with `resume`, or choose another `out` in the recipe"
        )
    known, requested = _flat(type(recipe).load(file).to_dict()), _flat(recipe.to_dict())
    free = (
        "data.workers",
        "data.cache",
        "data.cache_gigabytes",
        "trainer.checkpoint_every",
        "trainer.log_every",
        "out",
    )
    for key in sorted(known.keys() | requested.keys()):
        before, after = known.get(key), requested.get(key)
        if key in ("trainer.max_steps", "trainer.epochs") and before is not None and after is not None:
            if after < before:
                raise ConfigError(f"{out}: the run has {key} {before}: continue it with as many, or more")
            continue
        if key not in free and before != after:
            raise ConfigError(
                f"{out}: the run has {key} {known.get(key)!r}, not {requested.get(key)!r}: "
                "a run continues with its own recipe"
            )


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Join nested keys by dots."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _quiet() -> None:
    """Silence Lightning's messages about devices and its tips."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    logging.getLogger("lightning_fabric").setLevel(logging.ERROR)
    for name in ("pytorch_lightning", "lightning_fabric", "torch"):
        warnings.filterwarnings("ignore", module=name)
