"""Run the recipe of a second stage, phase by phase."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from pytorch_lightning.utilities import rank_zero_only
from torch import nn

from auralsam2.data.registry import open_dataset
from auralsam2.data.sample import Sample
from auralsam2.errors import ConfigError, InputError
from auralsam2.modeling.audio_encoder import AudioEncoder
from auralsam2.semantics.mask2former import SWIN_ADAPTER, GuidedMask2Former
from auralsam2.semantics.second_stage import SecondStage, load_stock
from auralsam2.training.callbacks import BEST, LAST, DivergenceStop, ModelCheckpoints
from auralsam2.training.initialise import image_backbone_weights, load_audio_encoder
from auralsam2.training.run import fit, prepare_folder
from auralsam2.training.semantic_module import SemanticModule
from auralsam2.training.semantic_recipe import PhaseConfig, SemanticRecipe

STAGE_BACKBONE = "_backbone."
"""Start of the names of the weights of timm's backbone in the backbone of Mask2Former."""


def train_second_stage(
    recipe: SemanticRecipe,
    out: Path,
    *,
    resume: bool = False,
    bar: bool = False,
    on_message: Callable[[str], None] = lambda _line: None,
) -> SemanticModule:
    """Train, from the start or from the last checkpoint.

    The folder of the run is that of `training.run.train`, without pictures; `phase-1/` is a run of its own if there are
    two phases. `best/` and `last/` are namers for `auralsam2 evaluate --namer`.

    Args:
        recipe: its settings.
        out: folder of the run.
        resume: continue from its checkpoint, if there is one.
        bar: show a progress bar.
        on_message: called with a line of text at the start of a phase and at each validation.

    Returns:
        the module of the last phase.

    Raises:
        UsageError: the folder holds a run, and `resume` is false.
        ConfigError: the run in the folder has another recipe, or the recipe does not match its parts.
        UnavailableError: a part or the data are missing.
        OutputError: the folder cannot be written.
    """
    first = rank_zero_only.rank == 0
    if first:
        prepare_folder(recipe, out, resume=resume)
    samples = [listed_samples(recipe, split) for split in (recipe.data.split, recipe.data.validation)]
    count = min(len(samples[1]), recipe.data.validation_clips or len(samples[1]))
    samples[1] = [samples[1][number * len(samples[1]) // count] for number in range(count)]
    start = None if recipe.start_from is None else SecondStage.load(Path(recipe.start_from))
    module = None
    for number, phase in enumerate(recipe.phases, 1):
        is_last = number == len(recipe.phases)
        folder = out if is_last else out / f"phase-{number}"
        if not is_last and (folder / LAST).is_dir():
            continue
        if number > 1:
            start = SecondStage.load(out / f"phase-{number - 1}" / BEST)
        module = SemanticModule(build_second_stage(recipe, phase, start), recipe, phase, *samples)
        if first:
            on_message(f"phase {number}: {len(samples[0])} clips, {module.steps} steps; validation on {count} clips")
        fit(
            module,
            module.steps,
            recipe.trainer,
            folder,
            resume=resume,
            bar=bar,
            callbacks=[DivergenceStop(), ModelCheckpoints(folder, on_message)],
            on_message=on_message,
        )
    assert module is not None, "there is a last phase"
    return module


def build_second_stage(recipe: SemanticRecipe, phase: PhaseConfig, start: SecondStage | None) -> SecondStage:
    """Build the second stage of a phase, in training mode, its new parts initialised from the seed.

    Args:
        recipe: names stock weights and audio encoder.
        phase: with or without Swin adapters.
        start: gives the weights of all other parts; None for those of the stock.

    Raises:
        UnavailableError: a part is missing.
        ConfigError: `start` has other parts or shapes.
    """
    stage = recipe.stage_of(phase)
    stock = load_stock(recipe.mask2former, recipe.trainer.seed)
    torch.manual_seed(recipe.trainer.seed)
    network = SecondStage(GuidedMask2Former.from_stock(stock, stage), AudioEncoder(stage.audio_encoder))
    if recipe.audio_from is not None:
        load_audio_encoder(network.audio_encoder, recipe.audio_from)
    if recipe.backbone_from is not None:
        load_backbone(network.mask2former.backbone, recipe.backbone_from)
    if start is not None:
        own, state = network.state_dict(), start.state_dict()
        missing = own.keys() - state.keys()
        if any(SWIN_ADAPTER not in name for name in missing) or any(
            name not in own or own[name].shape != value.shape for name, value in state.items()
        ):
            raise ConfigError("start_from: a second stage of another shape than stage and mask2former describe")
        network.load_state_dict(own | state)
    # Lightning leaves the modes as they are.
    return network.train()


def load_backbone(backbone: nn.Module, name: str) -> None:
    """Load the weights of timm's backbone from the SAM 2 of a model, in place.

    Raises:
        UnavailableError: there is no such model.
        ConfigError: its SAM 2 has another backbone.
    """
    own = {f"{STAGE_BACKBONE}{key}": value for key, value in image_backbone_weights(name).items()}
    shapes = [{key: value.shape for key, value in table.items()} for table in (own, backbone.state_dict())]
    if not own or shapes[0] != shapes[1]:
        raise ConfigError(f"backbone_from: the SAM 2 of {name} has another backbone than mask2former")
    backbone.load_state_dict(own)


def listed_samples(recipe: SemanticRecipe, split: str) -> list[Sample]:
    """List the samples of a split with a label, in the published order.

    Raises:
        AuralError: the data set or split is missing, or has no usable sample.
    """
    listing = open_dataset(recipe.data.dataset, recipe.data.root).listing(split)
    if samples := [sample for sample in listing.samples if any(sample.supervised)]:
        return samples
    raise InputError(f"{recipe.data.root}: split {split} has no usable samples: auralsam2 data check")
