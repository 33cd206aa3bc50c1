"""A training run: its folder, its checkpoints, its models."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only

from auralsam2.baselines.network import AdapterNetwork
from auralsam2.errors import ConfigError, OutputError, UsageError
from auralsam2.modeling.network import AuralNetwork
from auralsam2.training.callbacks import ModelCheckpoints, PanelCallback
from auralsam2.training.dataset import training_samples
from auralsam2.training.initialise import build_network
from auralsam2.training.lightning_module import AuralModule, BaselineModule, ClipModule
from auralsam2.training.recipe import TrainingRecipe
from auralsam2.utils.atomic_io import writing

RECIPE_FILE, CHECKPOINT = "recipe.yaml", "last.ckpt"


def train(
    recipe: TrainingRecipe,
    out: Path,
    *,
    resume: bool = False,
    bar: bool = False,
    tell: Callable[[str], None] = lambda _line: None,
) -> ClipModule:
    """Train, from the start or from the last checkpoint.

    The folder of the run holds `recipe.yaml`, presets spelt out; `last.ckpt`; `log/`, one table for each start;
    `pictures/`, a sheet of each validation; and the models `best/` and `last/`, for `auralsam2 segment --model`.

    Args:
        recipe: what to do.
        out: folder of the run.
        resume: go on from its checkpoint, if it has one.
        bar: show a progress bar.
        tell: is given a line of news at each validation.

    Returns:
        the trained module.

    Raises:
        UsageError: there is a run in the folder, and it is not to be resumed.
        ConfigError: the run in the folder is of another recipe, or the recipe does not fit its parts.
        UnavailableError: a part or the data are not here.
        OutputError: the folder cannot be written.
    """
    _quiet()
    checkpoint = out / CHECKPOINT
    first = rank_zero_only.rank == 0  # the other processes of the run may find what the first has written
    if first:
        _check(recipe, out, resume)
    module = _module(recipe)
    if first:
        tell(f"{len(module.clips)} clips, {module.steps} steps; validation on {len(module.held_out)} clips")
    trainer = _trainer(recipe, out, module, bar, [ModelCheckpoints(out, tell), PanelCallback(out)])
    if first:
        with writing(out):
            out.mkdir(parents=True, exist_ok=True)
            beside = out / f".{RECIPE_FILE}.part"
            beside.write_text(recipe.to_yaml(), encoding="utf-8")
            beside.replace(out / RECIPE_FILE)
    going_on = resume and checkpoint.is_file()
    if going_on and first:
        tell(f"going on from {checkpoint}")
    try:
        trainer.fit(module, ckpt_path=checkpoint if going_on else None, weights_only=True)
    except SystemExit as end:
        if trainer.interrupted:  # Lightning makes an exit of ctrl-C
            raise KeyboardInterrupt from end
        raise
    return module


def _module(recipe: TrainingRecipe) -> ClipModule:
    """The network of the recipe's method, its clips, and how it learns."""
    made, data = build_network(recipe), recipe.data
    clips, validation = (
        training_samples(data, data.split),
        training_samples(data, data.validation)[: data.validation_clips],
    )
    if isinstance(made, AdapterNetwork):
        return BaselineModule(made, recipe, clips, validation)
    assert isinstance(made, AuralNetwork), "there are two kinds"
    return AuralModule(made, recipe, clips, validation)


def _trainer(recipe: TrainingRecipe, out: Path, module: ClipModule, bar: bool, callbacks: list[Callback]) -> pl.Trainer:
    given = recipe.trainer
    several = given.devices * given.nodes > 1
    # No length of an epoch is known: the draws of the whole run are one, and all intervals are counted in clips.
    validate_every = min(given.validate_every, module.steps) * given.accumulate
    checkpoints = ModelCheckpoint(
        dirpath=out,
        filename=CHECKPOINT.removesuffix(".ckpt"),
        every_n_train_steps=given.checkpoint_every,
        save_on_train_epoch_end=False,
        enable_version_counter=False,
    )
    logger = CSVLogger(out, name="log") if given.logger == "csv" else TensorBoardLogger(out, name="log")
    return pl.Trainer(
        accelerator=given.accelerator,
        devices=given.devices,
        num_nodes=given.nodes,
        # The projections learn nothing where there is no contrast.
        strategy="ddp_find_unused_parameters_true" if several else "auto",
        precision="bf16-mixed" if given.precision == "bf16" else "32-true",
        max_steps=module.steps,
        max_epochs=-1,
        accumulate_grad_batches=given.accumulate,
        gradient_clip_val=given.clip_norm,
        val_check_interval=validate_every,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        log_every_n_steps=given.log_every,
        use_distributed_sampler=False,
        logger=logger,
        callbacks=[checkpoints, *callbacks],
        enable_progress_bar=bar,
        enable_model_summary=False,
    )


def _check(recipe: TrainingRecipe, out: Path, resume: bool) -> None:
    """Whether the folder may be used."""
    file = out / RECIPE_FILE
    if not file.exists():
        if (out / CHECKPOINT).exists():
            raise OutputError(f"{out}: has a checkpoint but no {RECIPE_FILE}: choose another `out` in the recipe")
        return
    if not resume:
        raise UsageError(
            f"{out}: there is a run already: continue it with `resume`, or choose another `out` in the recipe"
        )
    known, asked = _flat(TrainingRecipe.load(file).to_dict()), _flat(recipe.to_dict())
    free = ("data.workers", "data.cache", "data.cache_gigabytes", "trainer.checkpoint_every", "trainer.log_every",
            "trainer.logger", "out")  # fmt: skip
    for key in sorted(known.keys() | asked.keys()):
        if key not in free and known.get(key) != asked.get(key):
            raise ConfigError(
                f"{out}: the run has {key} {known.get(key)!r}, not {asked.get(key)!r}: a run goes on with the recipe "
                "that it began with"
            )


def _flat(values: dict[str, Any], where: str = "") -> dict[str, Any]:
    """Nested keys joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{where}{key}.") if isinstance(value, dict) else {f"{where}{key}": value}
    return flat


def _quiet() -> None:
    """Lightning tells of devices and gives tips; what users need to know, we say ourselves."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    logging.getLogger("lightning_fabric").setLevel(logging.ERROR)
    for name in ("pytorch_lightning", "lightning_fabric", "torch"):
        warnings.filterwarnings("ignore", module=name)
