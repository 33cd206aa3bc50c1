"""Train the encoder of sound: `python -m projects.mini.train_audio RECIPE [--set KEY=VALUE] [--resume]`.

All chance in a step comes from the step's own number. So a run that was stopped, however, and is resumed ends with the
weights of one that was not.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from auralsam2.config import AudioEncoderConfig
from auralsam2.errors import ConfigError, UsageError
from auralsam2.evaluation.metrics import auroc
from auralsam2.training.initialise import HEARING
from auralsam2.training.optimiser import warm_cosine
from auralsam2.utils.atomic_io import writing
from auralsam2.utils.weights import CONFIG_FILE, WEIGHTS_FILE, save_weights
from auralsam2.utils.yaml_files import read_config
from projects.mini.audio_data import AudioSplit, TaggingSamples, tests
from projects.mini.audio_tagger import AudioTagger, TaggerOutput, tagging_loss
from projects.mini.stage_loop import LogTable, read_checkpoint, replace, stage_arguments, write_checkpoint


@dataclass(frozen=True, kw_only=True)
class AudioRecipe:
    """All that decides the weights, and where they go.

    Attributes:
        out: folder of the log, the checkpoint and, at the end, the model.
        stamps: folder of stamps; None for the Debian package's.
        seed: of the weights and the sounds.
        encoder: shape of the encoder.
        steps: how many.
        batch: examples in a step.
        rate: AdamW's highest learning rate; it rises over `warm_up` steps and falls to 0 as a cosine.
        warm_up: steps.
        decay: weight decay.
        clip_norm: longest gradient.
        place: weight of telling the place.
        save_every, log_every, test_every: steps.
        test_examples: fresh examples of the tests along the way.
        final_examples: examples of each of the last tests.
    """

    out: str
    stamps: str | None = None
    seed: int = 0
    encoder: AudioEncoderConfig = field(default_factory=AudioEncoderConfig)
    steps: int
    batch: int = 32
    rate: float = 1e-3
    warm_up: int = 50
    decay: float = 0.01
    clip_norm: float = 5.0
    place: float = 10.0
    save_every: int = 100
    log_every: int = 20
    test_every: int = 200
    test_examples: int = 256
    final_examples: int = 1024

    def __post_init__(self) -> None:
        names = ("steps", "batch", "save_every", "log_every", "test_every", "test_examples", "final_examples")
        for name in names:
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} {getattr(self, name)} must be positive")


def read_audio_recipe(path: Path, changes: Sequence[str] = ()) -> AudioRecipe:
    """Read a recipe.

    Args:
        path: YAML.
        changes: `key=value`, dots between the parts of a key, as in `encoder.hidden=64`; values are YAML too.

    Raises:
        UsageError: the file is missing or may not be read, or a change is none.
        ConfigError: no YAML, an unknown key, or a value that makes no sense.
    """
    return read_config(AudioRecipe, path, changes)


_TOGETHER = 32


@dataclass(frozen=True, kw_only=True)
class TaggingFigures:
    """Means over examples; None where no example can tell.

    Attributes:
        examples: how many; of these, `singles` with one thing that sounds, `mixtures` with two.
        top1: share of singles whose highest tag is right.
        precision: over the mixtures, mean of the average precision of the right tags among all.
        place: mean distance between told and true place, of all that sounds; the picture is 1 wide.
        middle: the same for telling the middle always.
        presence: AUROC of whether anything sounds.
    """

    examples: int
    singles: int
    mixtures: int
    top1: float | None
    precision: float | None
    place: float | None
    middle: float | None
    presence: float | None

    def to_dict(self) -> dict[str, float | int | None]:
        """Plain values."""
        return asdict(self)


def measure_tagging(tagger: AudioTagger, part: AudioSplit, examples: int, stamps: Path | None = None) -> TaggingFigures:
    """Evaluate on the first so many examples of a part, always the same ones."""
    sounds = TaggingSamples(part, seed=0, stamps=stamps)
    heard, tags, places = [], [], []
    with torch.no_grad():
        for begin in range(0, examples, _TOGETHER):
            batch = sounds.batch(range(begin, min(begin + _TOGETHER, examples)))
            heard.append(tagger(batch.log_mel))
            tags.append(batch.tags)
            places.append(batch.places)
    whole = TaggerOutput(**{name: torch.cat([getattr(one, name) for one in heard]) for name in TaggerOutput.__slots__})
    return tagging_figures(whole, torch.cat(tags), torch.cat(places))


def tagging_figures(heard: TaggerOutput, tags: torch.Tensor, places: torch.Tensor) -> TaggingFigures:
    """Compare what was heard with what sounds: (N, K) bool, and where: (N, K)."""
    count = tags.sum(1)
    single, mixed = count == 1, count == 2
    right = tags.gather(1, heard.tags.argmax(1, keepdim=True)).squeeze(1)[single]
    away = (heard.places - places).abs()[tags]
    return TaggingFigures(
        examples=len(tags),
        singles=int(single.sum()),
        mixtures=int(mixed.sum()),
        top1=_mean(right.float()),
        precision=_mean(average_precision(heard.tags[mixed], tags[mixed])),
        place=_mean(away),
        middle=_mean((0.5 - places[tags]).abs()),
        presence=_mean(auroc(heard.presence, tags.any(1)).float()),
    )


def average_precision(scores: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Of each row's ranking: the mean, over what is right, of the share that is right down to there.

    Args:
        scores: (N, K).
        right: (N, K) bool, at least one in each row.

    Returns:
        (N,) float32.
    """
    ranked = right.gather(1, scores.argsort(dim=1, descending=True, stable=True)).float()
    share = ranked.cumsum(1) / torch.arange(1, right.shape[1] + 1)
    return (share * ranked).sum(1) / ranked.sum(1)


def _mean(values: torch.Tensor) -> float | None:
    """None of nothing, and of what is not a number."""
    mean = float(values.mean()) if len(values) else float("nan")
    return mean if mean == mean else None


CHECKPOINT, LOG, FIGURES = "checkpoint.pt", "log.csv", "figures.json"
COLUMNS = (
    "step",
    "seconds",
    "rate",
    "loss",
    "tags",
    "place",
    "presence",
    "fresh_top1",
    "fresh_precision",
    "fresh_place",
    "fresh_presence",
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class AudioCheckpoint:
    """A checkpoint.

    Attributes:
        step: steps done.
        seconds: of training so far.
        rows: of the log so far.
        model: tensors of the tagger.
        optimiser: its state.
    """

    step: int
    seconds: float
    rows: int
    model: dict[str, torch.Tensor]
    optimiser: dict[str, Any]


class AudioStage:
    """A run of a recipe.

    Args:
        recipe: what to do.
        resume: go on where the checkpoint in `recipe.out` was written.

    Raises:
        UsageError: there is a checkpoint, and `resume` is not set.
        ConfigError: the checkpoint is of another model.
    """

    def __init__(self, recipe: AudioRecipe, *, resume: bool = False) -> None:
        self.recipe, self.out = recipe, Path(recipe.out)
        saved = read_checkpoint(AudioCheckpoint, self.out / CHECKPOINT)
        if saved and not resume:
            raise UsageError(f"{self.out}: holds a checkpoint: go on from it with --resume, or name another out=")
        self.stamps = Path(recipe.stamps) if recipe.stamps else None
        self.sounds = TaggingSamples("train", seed=recipe.seed, stamps=self.stamps)
        self.tagger = AudioTagger(recipe.encoder, len(self.sounds.kinds), recipe.seed)
        self.optimiser = torch.optim.AdamW(self.tagger.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
        self.step, self.seconds = 0, 0.0
        if saved:
            self.step, self.seconds = saved.step, saved.seconds
            try:
                self.tagger.load_state_dict(saved.model)
                self.optimiser.load_state_dict(saved.optimiser)
            except (RuntimeError, ValueError) as error:
                raise ConfigError(f"{self.out / CHECKPOINT}: of another model: remove it to start anew") from error
        with writing(self.out):
            self.out.mkdir(parents=True, exist_ok=True)
        self.log = LogTable(self.out / LOG, COLUMNS, keep=saved.rows if saved else 0)

    def run(self) -> dict[str, TaggingFigures]:
        """Train to the end, write the model, and test it on fresh mixtures and, once, on held-out recordings."""
        recipe = self.recipe
        watched: dict[str, list[float]] = defaultdict(list)
        began = time.monotonic() - self.seconds
        while self.step < recipe.steps:
            rate = warm_cosine(self.step, rate=recipe.rate, warm_up=recipe.warm_up, steps=recipe.steps)
            for name, value in self._one_step(rate).items():
                watched[name].append(value)
            self.step += 1
            self.seconds = time.monotonic() - began
            last = self.step == recipe.steps
            if last or self.step % recipe.log_every == 0:
                row: dict[str, Any] = {name: fmean(values) for name, values in watched.items()}
                watched.clear()
                if last or self.step % recipe.test_every == 0:
                    tested = measure_tagging(self.tagger, "fresh", recipe.test_examples, self.stamps).to_dict()
                    row |= {f"fresh_{name}": value for name, value in tested.items()}
                self.log.write(row | {"step": self.step, "seconds": round(self.seconds, 1), "rate": rate})
                _log.info("%d: %s", self.step, ", ".join(f"{k} {v:.3f}" for k, v in row.items() if v is not None))
            if last or self.step % recipe.save_every == 0:
                self._write_model()
                self._save()
        found = {
            str(part): measure_tagging(self.tagger, part, recipe.final_examples, self.stamps)
            for part in tests(self.stamps)
        }
        told = json.dumps({part: figures.to_dict() for part, figures in found.items()}, indent=2) + "\n"
        with writing(self.out / FIGURES):
            replace(self.out / FIGURES, told.encode())
        return found

    def _one_step(self, rate: float) -> dict[str, float]:
        """Learn from one batch; gives the terms of the loss."""
        recipe = self.recipe
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        batch = self.sounds.batch(range(self.step * recipe.batch, (self.step + 1) * recipe.batch))
        terms = tagging_loss(self.tagger(batch.log_mel), batch)
        loss = terms.tags + recipe.place * terms.place + terms.presence
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.tagger.parameters(), recipe.clip_norm)
        self.optimiser.step()
        parts = {"loss": loss, "tags": terms.tags, "place": terms.place, "presence": terms.presence}
        return {name: value.item() for name, value in parts.items()}

    def _save(self) -> None:
        saved = AudioCheckpoint(
            step=self.step,
            seconds=self.seconds,
            rows=self.log.rows,
            model=self.tagger.state_dict(),
            optimiser=self.optimiser.state_dict(),
        )
        write_checkpoint(vars(saved), self.out / CHECKPOINT)

    def _write_model(self) -> None:
        """Write the encoder alone, as far as it is, in the form that `audio_from` takes."""
        config = json.dumps({"audio_encoder": asdict(self.recipe.encoder)}, indent=2) + "\n"
        state = self.tagger.audio_encoder.state_dict()
        draft = self.out / ".draft"
        with writing(self.out / WEIGHTS_FILE):
            draft.mkdir(exist_ok=True)
            (draft / CONFIG_FILE).write_text(config, encoding="utf-8")
            save_weights({f"{HEARING}{name}": value for name, value in state.items()}, draft)
            for name in (WEIGHTS_FILE, CONFIG_FILE):
                (draft / name).replace(self.out / name)
            draft.rmdir()


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""

    def train(path: Path, changes: Sequence[str], resume: bool) -> dict[str, Any]:
        found = AudioStage(read_audio_recipe(path, changes), resume=resume).run()
        return {part: figures.to_dict() for part, figures in found.items()}

    return stage_arguments("hearing", train, arguments)


if __name__ == "__main__":
    sys.exit(main())
