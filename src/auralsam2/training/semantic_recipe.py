"""Recipe of the second stage, read from YAML. This module does not import torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from auralsam2.data.class_names import AVSS, CLASS_NAMES
from auralsam2.errors import ConfigError, quoted
from auralsam2.semantics.stage_config import SecondStageConfig
from auralsam2.training.recipe import TrainerConfig, TrainingRecipe, plain_values
from auralsam2.utils.configs import bounded_field, build_config, check_fields
from auralsam2.utils.yaml_files import read_values, yaml_package

Guide = Literal["truth", "predicted", "mixed"]
SECTION = "mask2former"
"""Key of a recipe of the second stage."""
_OF_PHASES = ("epochs", "max_steps", "conditioning")
_UNUSED = (*_OF_PHASES, "clips_per_pass")
"""Keys of `trainer` that have no meaning here: the phases have their own length, there is no memory, and the frames of
one clip pass at once."""


@dataclass(frozen=True, kw_only=True)
class SemanticDataConfig:
    """Data of the second stage.

    Attributes:
        root: folder of the data set.
        dataset: data set with classes.
        split, validation: splits.
        frames_per_clip: labelled frames of a training clip, drawn anew each time; None for all, as published.
        validation_clips: number of validation clips, evenly spaced; None for all.
        masks: folder of the masks of the first stage, as `auralsam2 evaluate --save-masks` writes them.
        guide: masks that guide the training: the labels, the masks of the first stage, or either.
        predicted_share: share of clips with the masks of the first stage, for `mixed`.
        validation_guide: masks that guide the validation.
        shuffle: draw the clips in random order; as published, they come in the order of the table, part by part.
        workers: loader processes.
    """

    root: str
    dataset: Literal["v2-semantic", "stampavs-semantic"] = "v2-semantic"
    split: str = "train"
    validation: str = "val"
    frames_per_clip: int | None = bounded_field(None, 1, 2**31)
    validation_clips: int | None = bounded_field(None, 1, 2**31)
    masks: str | None = None
    guide: Guide = "truth"
    predicted_share: float = bounded_field(0.5, 0.0, 1.0)
    validation_guide: Literal["truth", "predicted"] = "predicted"
    shuffle: bool = False
    workers: int = bounded_field(2, 0, 1024)

    def __post_init__(self) -> None:
        check_fields(self, "data")
        if self.masks is None and (self.guide != "truth" or self.validation_guide != "truth"):
            raise ConfigError(
                "data.masks is missing: write the masks of the first stage with auralsam2 evaluate --save-masks DIR, "
                "or set data.guide and data.validation_guide to truth"
            )


@dataclass(frozen=True, kw_only=True)
class PhaseConfig:
    """A phase of the training, with a constant learning rate.

    Attributes:
        epochs: passes over the split.
        rate: learning rate.
        swin_adapters: add the adapters of Swin, and train them; otherwise there are none.
    """

    epochs: int = bounded_field(40, 1, 2**31)
    rate: float = bounded_field(1e-4, 0.0, 1.0)
    swin_adapters: bool = True

    def __post_init__(self) -> None:
        check_fields(self, "phase")


@dataclass(frozen=True, kw_only=True)
class SemanticRecipe:
    """Training of the second stage, in one or two phases.

    Phase 2 starts from the stock weights, the best second stage of phase 1, and new Swin adapters.

    Attributes:
        mask2former: stock Mask2Former, by folder or hub id; or a configuration of transformers, for random weights.
        data: training and validation data.
        stage: the network; its Swin adapters follow from the phase.
        phase_1, phase_2: phases; None for no second one.
        weight_decay: of AdamW.
        backbone_from: model whose SAM 2 has the weights of the backbone, one of timm; None for those of the stock.
        start_from: folder of a second stage to continue from; None for the stock weights.
        audio_from: model whose audio encoder, VGGish, is loaded; None for random weights.
        trainer: precision, devices and intervals; one step takes the frames of `accumulate` clips.
        out: folder of the run; None for `runs/` and the name of the recipe.
    """

    mask2former: str | dict[str, Any]
    data: SemanticDataConfig
    stage: SecondStageConfig = field(default_factory=lambda: SecondStageConfig(names=AVSS))
    phase_1: PhaseConfig = field(default_factory=PhaseConfig)
    phase_2: PhaseConfig | None = None
    weight_decay: float = bounded_field(0.05, 0.0, 1.0)
    backbone_from: str | None = None
    start_from: str | None = None
    audio_from: str | None = "v1s"
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    out: str | None = None

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def phases(self) -> tuple[PhaseConfig, ...]:
        """The phases in order."""
        return (self.phase_1,) if self.phase_2 is None else (self.phase_1, self.phase_2)

    def stage_of(self, phase: PhaseConfig) -> SecondStageConfig:
        """Return the network of a phase."""
        return dataclasses.replace(self.stage, swin_adapters=phase.swin_adapters)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> SemanticRecipe:
        """Build the recipe strictly.

        Raises:
            ConfigError: an unknown or missing key, a value of the wrong type, or a contradiction; names the key.
        """
        for name in (SECTION, "data"):
            if name not in values:
                raise ConfigError(f"{name} is missing")
        if not isinstance(values["data"], dict) or "root" not in values["data"]:
            raise ConfigError("data.root is missing")
        trainer, stage = values.get("trainer") or {}, values.get("stage") or {}
        for name, section in (("trainer", trainer), ("stage", stage)):
            if not isinstance(section, dict):
                raise ConfigError(f"{name} is {quoted(section)}, expected keys and values")
        if wrong := [name for name in _UNUSED if name in trainer]:
            remedy = "see phase_1 and phase_2" if wrong[0] in _OF_PHASES else "leave it out"
            raise ConfigError(f"trainer.{wrong[0]} has no meaning for a second stage: {remedy}")
        if "swin_adapters" in stage:
            raise ConfigError("stage.swin_adapters follows from phase_1 and phase_2: set theirs")
        names = list(CLASS_NAMES.get(str(values["data"].get("dataset")), AVSS))
        return build_config(cls, values | {"trainer": trainer, "stage": {"names": names} | stage})

    @classmethod
    def load(cls, path: Path, changes: Sequence[str] = ()) -> SemanticRecipe:
        """Read a YAML file; arguments and errors as of `TrainingRecipe.load`."""
        try:
            return cls.from_dict(read_values(path, changes))
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; the inverse of `from_dict`."""
        values = dataclasses.asdict(self)
        for name in _UNUSED:
            del values["trainer"][name]
        del values["stage"]["swin_adapters"]
        return plain_values(values)

    def to_yaml(self) -> str:
        """Return `to_dict` as YAML."""
        return yaml_package().safe_dump(self.to_dict(), sort_keys=False)


def load_recipe(path: Path, changes: Sequence[str] = ()) -> TrainingRecipe | SemanticRecipe:
    """Read a YAML file: the recipe of a second stage if it names a Mask2Former, else that of a model.

    Arguments and errors as of `TrainingRecipe.load`.
    """
    return (
        SemanticRecipe.load(path, changes)
        if SECTION in read_values(path, changes)
        else TrainingRecipe.load(path, changes)
    )
