"""Training recipe, read from YAML.

A file holds the differences from its presets and may extend other files: `base: [parts/v1s.yaml, parts/large.yaml]`,
paths relative to the file, later ones over earlier ones. `variant` chooses the presets of the network, `preset` those
of losses, optimiser and augmentation. This module does not import torch, so a recipe is checked in milliseconds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from auralsam2.config import (
    Conditioning,
    FuserConfig,
    Modality,
    ModelConfig,
    PromptingConfig,
    Variant,
)
from auralsam2.errors import ConfigError, quoted
from auralsam2.training.config import AugmentConfig, ContrastConfig, DistillationConfig, MaskLossConfig, OptimiserConfig
from auralsam2.utils.configs import bounded_field, build_config, check_fields
from auralsam2.utils.yaml_files import read_values, yaml_package


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Training and validation data.

    Attributes:
        dataset: name of the data set; several names joined by `+` form a pool, and a repeated name counts repeatedly.
        root: its folder.
        split: training split; several joined by `+` form a pool.
        validation: validation split.
        validation_clips: number of its clips to use, evenly spaced; None for all.
        workers: loader processes per device; 0 loads in the training process.
        cache: folder for the output of the frozen image encoder; None encodes each time.
        cache_gigabytes: maximum size of the folder.
        cache_half: store float16: half the size, and results that differ by rounding.
        frames_per_clip: number of random frames of each clip to train on, with the audio of all; None for all frames.
            Needs `extensions.attention_scope` frame, whose frames are independent.
        stamps: folder of stamps for `augment.remix_audio`; None for the Debian package's.
        recordings: folder in the layout of RealAVS whose recordings of the categories join those of the stamps in half
            of the remixed audio; None for the stamps' alone.
    """

    dataset: str
    root: str
    split: str = "train"
    validation: str = "val"
    validation_clips: int | None = 100
    workers: int = bounded_field(2, 0, 1024)
    cache: str | None = None
    cache_gigabytes: float = 20.0
    cache_half: bool = False
    frames_per_clip: int | None = None
    stamps: str | None = None
    recordings: str | None = None

    def __post_init__(self) -> None:
        check_fields(self, "data")
        _at_least("data", self, 0, "cache_gigabytes")
        _at_least("data", self, 1, "validation_clips", "frames_per_clip")
        pool = set(self.dataset.split("+"))
        if pool & {"v2", "v2-semantic"} and (repeated := sorted(pool & {"v1s", "v1m"})):
            raise ConfigError(
                f"data.dataset {self.dataset}: v2 contains the clips of {' and '.join(repeated)}: leave them out"
            )


@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """Length, precision and devices of a run.

    Attributes:
        epochs: passes over the split; used if `max_steps` is None.
        max_steps: optimiser steps.
        accumulate: clips per step on each device.
        clips_per_pass: of these, clips that the network computes at once; a divisor of `accumulate`. More than 1 needs
            independent frames: `extensions.attention_scope` frame, `trainer.conditioning` each, `contrast.mode` none
            and `fuser.dropout` 0. Losses and gradients differ by rounding.
        clip_norm: maximum norm of the gradient; None for no limit.
        conditioning: frame that starts the memory in training; validation uses that of the model.
        precision: of the forward pass; weights stay float32.
        seed: of initial weights, order, augmentation, dropout and sampled embeddings.
        accelerator, devices: as in Lightning.
        checkpoint_every, validate_every, log_every: in steps.
    """

    epochs: int = 180
    max_steps: int | None = None
    accumulate: int = 1
    clips_per_pass: int = 1
    clip_norm: float | None = None
    conditioning: Conditioning = "middle"
    precision: Literal["fp32", "bf16"] = "bf16"
    seed: int = 0
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: int = bounded_field(1, 1, 1024)
    checkpoint_every: int = 500
    validate_every: int = 2000
    log_every: int = 20

    def __post_init__(self) -> None:
        names = ("epochs", "max_steps", "accumulate", "clips_per_pass", "devices", "checkpoint_every", "validate_every")
        _at_least("trainer", self, 1, *names, "log_every")
        if self.accumulate % self.clips_per_pass:
            raise ConfigError(
                f"trainer.clips_per_pass {self.clips_per_pass} does not divide trainer.accumulate {self.accumulate}"
            )
        check_fields(self, "trainer")
        _at_least("trainer", self, 0, "seed", "clip_norm")

    def steps(self, clips: int) -> int:
        """Return the number of optimiser steps for a split of `clips` clips."""
        if self.max_steps is not None:
            return self.max_steps
        return -(-self.epochs * clips // (self.accumulate * self.devices))


@dataclass(frozen=True, kw_only=True)
class TrainingRecipe:
    """A training run.

    Attributes:
        model: the network; its folders are relative to the working directory.
        data: training and validation data.
        variant: presets of the network.
        preset: presets of the next four.
        losses, contrast, optimiser, augment: see `training.config`.
        distillation: of the dense prompts, an extension; see `training.config`.
        trainer: length, precision and devices.
        audio_from: model whose audio encoder is loaded, by name, folder or hub id; None for random weights.
        fuser_from: model whose fuser is loaded; a model with text can start from one without.
        out: folder of the run; None for `runs/` and the name of the recipe.
    """

    model: ModelConfig
    data: DataConfig
    variant: Variant = "paper"
    preset: Variant = "paper"
    losses: MaskLossConfig = field(default_factory=MaskLossConfig)
    contrast: ContrastConfig = field(default_factory=ContrastConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    audio_from: str | None = None
    fuser_from: str | None = None
    out: str | None = None

    def __post_init__(self) -> None:
        if self.model.fuser.variant != self.variant:
            raise ConfigError(f"model.fuser.variant {self.model.fuser.variant!r} contradicts variant {self.variant!r}")
        pool = set(self.data.dataset.split("+"))
        if self.augment.remix_audio and not ("stampavs" in pool and pool <= {"stampavs", "stampavs-ref"}):
            raise ConfigError(f"augment.remix_audio needs data.dataset stampavs, not {self.data.dataset}")
        if self.data.recordings is not None and not self.augment.remix_audio:
            raise ConfigError("data.recordings needs augment.remix_audio above 0")
        if self.data.cache is not None and self.augment.changes_pixels:
            raise ConfigError(
                "data.cache serves pictures as they are or flipped: set augment.grayscale, rotation and shear to 0, "
                "clip_jitter and frame_jitter to [0, 0, 0], or leave the cache out"
            )
        if self.distillation.weight:
            self._check_distillation()
        if self.trainer.clips_per_pass > 1:
            self._require("trainer.clips_per_pass", self.trainer.clips_per_pass, self._independent_frames())
        if self.model.method != "auralsam2":
            self._check_baseline()
        elif self.data.frames_per_clip is not None and (
            self.model.extensions.attention_scope != "frame" or self.trainer.conditioning != "each"
        ):
            raise ConfigError(
                f"data.frames_per_clip {self.data.frames_per_clip} needs independent frames: set "
                "model.extensions.attention_scope frame and trainer.conditioning each"
            )

    def _check_distillation(self) -> None:
        """Check that the first dense prompt has gains and enters where SAM 2's mask prompt does."""
        model = self.model
        needs = (
            ("model.method", model.method, "auralsam2"),
            ("model.extensions.standardize_inputs", model.extensions.standardize_inputs, True),
            ("model.prompting.coarse_first", model.prompting.coarse_first, False),
            ("model.prompting.dense", model.prompting.dense, True),
        )
        self._require("distillation.weight", self.distillation.weight, needs)

    def _independent_frames(self) -> tuple[tuple[str, object, object], ...]:
        """Return the keys that make all frames of a step independent, their values, and those needed."""
        return (
            ("model.method", self.model.method, "auralsam2"),
            ("model.extensions.attention_scope", self.model.extensions.attention_scope, "frame"),
            ("trainer.conditioning", self.trainer.conditioning, "each"),
            ("contrast.mode", self.contrast.mode, "none"),
            ("model.fuser.dropout", self.model.fuser.dropout, 0),
        )

    @staticmethod
    def _require(name: str, setting: float, needs: Sequence[tuple[str, object, object]]) -> None:
        """Raise ConfigError for the first key whose value is not that needed by a setting."""
        for key, value, needed in needs:
            if value != needed:
                raise ConfigError(f"{name} {setting:g} needs {key} {_yaml(needed)}")

    def _check_baseline(self) -> None:
        """Refuse settings for a baseline, which has no fuser and changes the image encoder."""
        for key, value, needed in (
            ("trainer.conditioning", self.trainer.conditioning, "each"),
            ("contrast.mode", self.contrast.mode, "none"),
            ("contrast.matching", self.contrast.matching, 0),
            ("data.cache", self.data.cache, None),
            ("fuser_from", self.fuser_from, None),
        ):
            if value != needed:
                wanted = "null" if needed is None else needed
                raise ConfigError(
                    f"{key} {value!r} does not go with model.method {self.model.method}: set it to {wanted}"
                )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainingRecipe:
        """Fill in the presets and build the recipe strictly.

        Raises:
            ConfigError: an unknown or missing key, a value of the wrong type, or a contradiction; names the key.
        """
        for name in ("model", "data"):
            if not isinstance(values.get(name), dict):
                raise ConfigError(f"{name} is {quoted(values.get(name))}: a recipe needs this section")
        for name in ("dataset", "root"):
            if name not in values["data"]:
                raise ConfigError(f"data.{name} is missing")
        variant = _choice("variant", values.get("variant", "paper"), Variant)
        preset = _choice("preset", values.get("preset", "paper"), Variant)
        model = dict(values["model"])
        fuser = _section(model, "model.", "fuser")
        modality = _choice("model.fuser.modality", fuser.get("modality", "audio"), Modality)
        model["fuser"] = dataclasses.asdict(FuserConfig.preset(variant, modality)) | fuser
        model["prompting"] = dataclasses.asdict(PromptingConfig.preset(variant)) | _section(
            model, "model.", "prompting"
        )
        filled: dict[str, Any] = {"model": model, "variant": variant, "preset": preset}
        for name, kind in (
            ("losses", MaskLossConfig),
            ("contrast", ContrastConfig),
            ("optimiser", OptimiserConfig),
            ("augment", AugmentConfig),
        ):
            filled[name] = dataclasses.asdict(kind.preset(preset)) | _section(values, "", name)
        return build_config(cls, values | filled)

    @classmethod
    def load(cls, path: Path, changes: Sequence[str] = ()) -> TrainingRecipe:
        """Read a YAML file.

        Args:
            path: the file, or the name of a packaged recipe.
            changes: `key.key=value`, the value in YAML.

        Raises:
            UsageError: there is no such file, or a change is not of this form.
            ConfigError: its content is not a recipe.
        """
        values = read_values(path, changes)
        try:
            return cls.from_dict(values)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, presets filled in; the inverse of `from_dict`."""
        model = {key: value for key, value in self.model.to_dict().items() if key != "schema"}
        return plain_values(dataclasses.asdict(self) | {"model": model})

    def to_yaml(self) -> str:
        """Return `to_dict` as YAML."""
        return yaml_package().safe_dump(self.to_dict(), sort_keys=False)


def _section(values: dict[str, Any], where: str, name: str) -> dict[str, Any]:
    section = values.get(name) or {}
    if not isinstance(section, dict):
        raise ConfigError(f"{where}{name} is {quoted(section)}, expected keys and values")
    return section


def _choice(name: str, value: Any, kind: Any) -> Any:
    if value not in get_args(kind):
        raise ConfigError(f"{name} is {quoted(value)}, expected one of {', '.join(get_args(kind))}")
    return value


def _at_least(section: str, config: object, least: int, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if value is not None and value < least:
            raise ConfigError(f"{section}.{name} {value} must be at least {least}")


def _yaml(value: Any) -> str:
    return str(value).lower()


def plain_values(value: Any) -> Any:
    """Convert tuples to lists, for YAML."""
    if isinstance(value, dict):
        return {key: plain_values(inner) for key, inner in value.items()}
    return [plain_values(inner) for inner in value] if isinstance(value, list | tuple) else value
