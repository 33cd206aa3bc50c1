"""Train the audio encoder by tagging: `python -m projects.mini.train_audio RECIPE [--set KEY=VALUE] [--resume]`."""

from __future__ import annotations

import copy
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F

from auralsam2.config import AudioEncoderConfig, ModelConfig
from auralsam2.errors import ConfigError
from auralsam2.evaluation.metrics import auroc
from auralsam2.hub import download
from auralsam2.modeling.audio_encoder import AudioEncoder, SpectrogramMaps
from auralsam2.modeling.log_mel import OFFSET
from auralsam2.training.initialise import AUDIO_ENCODER, image_backbone_weights, load_audio_encoder
from auralsam2.utils.atomic_io import Staging, writing
from auralsam2.utils.weights import CONFIG_FILE, WEIGHTS_FILE, save_weights
from projects.mini.audio_data import AudioSplit, TaggingBatch, TaggingSamples, final_splits
from projects.mini.audio_tagger import AudioTagger, TaggerOutput, tagging_loss
from projects.mini.stage_loop import Recipe, Schedule, Stage, run_stage

_TEST_BATCH = 32


@dataclass(frozen=True, kw_only=True)
class AudioRecipe(Schedule, Recipe):
    """Settings of the run.

    Attributes:
        encoder: shape of the encoder.
        start: model whose audio encoder's weights start. None for random weights.
        backbone_from: model whose SAM 2 gives the initial weights of `encoder.backbone`; None for random weights.
        tokens_from: model whose audio tokens are the target of `token_weight`; None for `start`.
        recordings: folder in the layout of RealAVS with further recordings; None for those of the stamps.
        token_weight: weight of the difference to these tokens, on unchanged recordings of stamps, so that a fuser of
            that model still reads the tokens.
        longest_gap: longest stretch of time and of frequency that is silenced in spectrograms (SpecAugment), as a
            share of the spectrogram, in examples that are not plain.
        batch: examples in a step.
        position_weight: weight of the position loss.
        test_examples, final_examples: new examples of each test during training, and of each final test.
    """

    encoder: AudioEncoderConfig = field(default_factory=AudioEncoderConfig)
    start: str | None = None
    backbone_from: str | None = None
    tokens_from: str | None = None
    recordings: str | None = None
    token_weight: float = 0.0
    longest_gap: float = 0.0
    batch: int = 32
    warm_up: int = 50
    clip_norm: float = 5.0
    position_weight: float = 10.0
    test_examples: int = 256
    final_examples: int = 1024

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_positive("steps", "batch", "test_examples", "final_examples")
        if self.token_weight < 0 or (self.token_weight and not (self.start or self.tokens_from)):
            raise ConfigError(f"token_weight {self.token_weight} must be 0 or greater, and needs start or tokens_from")
        if self.backbone_from is not None and (self.encoder.backbone is None or self.start is not None):
            raise ConfigError("backbone_from needs encoder.backbone, and no start")
        if not 0 <= self.longest_gap < 1:
            raise ConfigError(f"longest_gap {self.longest_gap} must be from 0 to below 1")

    @property
    def sources(self) -> dict[str, Path | None]:
        """Folders of stamps and recordings, arguments of `TaggingSamples`."""
        return {
            "stamps": Path(self.stamps) if self.stamps else None,
            "recordings": Path(self.recordings) if self.recordings else None,
        }


@dataclass(frozen=True, kw_only=True)
class TaggingFigures:
    """Means over examples; None where no example defines the figure.

    Attributes:
        examples: number of examples; `singles` have one audible category, `mixtures` two.
        top1: share of singles whose highest tag is correct.
        precision: mean average precision of the tags of mixtures.
        position: mean absolute error of the position of audible categories; the image is 1 wide.
        centre: the same error for a constant prediction of the centre.
        presence: AUROC of presence.
    """

    examples: int
    singles: int
    mixtures: int
    top1: float | None
    precision: float | None
    position: float | None
    centre: float | None
    presence: float | None


class AudioStage(Stage[AudioRecipe]):
    """Trains an `AudioTagger`."""

    recipe_type = AudioRecipe
    columns = (
        "loss",
        "tags",
        "position",
        "presence",
        "token",
        "fresh_top1",
        "fresh_precision",
        "fresh_position",
        "fresh_presence",
    )
    printed = columns

    @property
    def phases(self) -> Mapping[str, Schedule]:
        """One phase."""
        return {"tagging": self.recipe}

    def build_network(self, state: dict[str, torch.Tensor] | None) -> AudioTagger:
        """Build the tagger, from `state`, `start` or random weights."""
        recipe = self.recipe
        self.samples = TaggingSamples("train", seed=recipe.seed, **recipe.sources)
        tagger = AudioTagger(recipe.encoder, len(self.samples.categories), recipe.seed)
        if recipe.start is not None:
            load_audio_encoder(tagger.audio_encoder, recipe.start)
        if recipe.backbone_from is not None:
            load_image_backbone(tagger.audio_encoder, recipe.backbone_from)
        self._target: AudioEncoder | None = None
        if recipe.token_weight and recipe.tokens_from is not None:
            self._target = AudioEncoder(ModelConfig.load(download.resolve(recipe.tokens_from)).audio_encoder)
            load_audio_encoder(self._target, recipe.tokens_from)
        elif recipe.token_weight:
            self._target = copy.deepcopy(tagger.audio_encoder)
        if self._target is not None:
            self._target.requires_grad_(False).eval()
        if state is not None:
            tagger.load_state_dict(state)
        return tagger

    def compute_loss(self) -> torch.Tensor:
        """Compute the loss of a batch."""
        recipe, first = self.recipe, self.step * self.recipe.batch
        batch = self.samples.batch(range(first, first + recipe.batch))
        self.network.train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed + first)  # for dropout
            tokens = self.network.audio_encoder(self._with_gaps(batch))
        terms = tagging_loss(self.network.predict(tokens), batch)
        for name in ("tags", "position", "presence"):
            self.record(name, getattr(terms, name).item())
        loss = terms.tags + recipe.position_weight * terms.position + terms.presence
        if self._target is not None and bool(batch.plain.any()):
            targets = self._target(batch.log_mel[batch.plain])
            difference = F.mse_loss(tokens[batch.plain], targets) / targets.var()
            self.record("token", difference.item())
            loss = loss + recipe.token_weight * difference
        return loss

    def _with_gaps(self, batch: TaggingBatch) -> torch.Tensor:
        """Return the spectrograms, with a stretch of time and one of frequency silenced in those that are not plain."""
        longest = self.recipe.longest_gap
        if longest == 0:
            return batch.log_mel
        spectrograms, rng = batch.log_mel.clone(), np.random.default_rng([self.recipe.seed, self.step])
        for index in (~batch.plain).nonzero().flatten().tolist():
            example = spectrograms[index]
            for axis in (1, 2):
                size = example.shape[axis]
                length = int(rng.integers(int(longest * size) + 1))
                example.narrow(axis, int(rng.integers(size - length + 1)), length).fill_(math.log(OFFSET))
        return spectrograms

    def evaluate(self) -> dict[str, float | None]:
        """Test on new mixtures of the training recordings."""
        figures = measure_tagging(self.network, "fresh", self.recipe.test_examples, **self.recipe.sources)
        return {f"fresh_{name}": value for name, value in asdict(figures).items()}

    def finish(self) -> dict[str, Any]:
        """Write the encoder in the form that `audio_from` reads, and test it, also on held-out recordings."""
        config = json.dumps({"audio_encoder": asdict(self.recipe.encoder)}, indent=2) + "\n"
        state = {f"{AUDIO_ENCODER}{name}": value for name, value in self.network.audio_encoder.state_dict().items()}
        with Staging(self.out) as staging, writing(self.out / WEIGHTS_FILE):
            (staging.path / CONFIG_FILE).write_text(config, encoding="utf-8")
            save_weights(state, staging.path)
            staging.publish([WEIGHTS_FILE, CONFIG_FILE])
        return {
            str(split): asdict(measure_tagging(self.network, split, self.recipe.final_examples, **self.recipe.sources))
            for split in final_splits(**self.recipe.sources)
        }


def load_image_backbone(encoder: AudioEncoder, model: str) -> None:
    """Load the weights of the backbone of a model's SAM 2 into that of an audio encoder, in place.

    Raises:
        UnavailableError: the model is missing.
        ConfigError: its SAM 2 has another backbone.
    """
    try:
        cast(SpectrogramMaps, encoder.features).load_image_backbone(image_backbone_weights(model))
    except (KeyError, RuntimeError) as error:
        raise ConfigError(f"backbone_from: the SAM 2 of {model} has another backbone than encoder.backbone") from error


@torch.no_grad()
def measure_tagging(
    tagger: AudioTagger,
    split: AudioSplit,
    examples: int,
    stamps: Path | None = None,
    recordings: Path | None = None,
) -> TaggingFigures:
    """Evaluate on the first examples of a split; the tagger is left in evaluation mode."""
    tagger.eval()
    samples = TaggingSamples(split, seed=0, stamps=stamps, recordings=recordings)
    batches = [
        samples.batch(range(first, min(first + _TEST_BATCH, examples))) for first in range(0, examples, _TEST_BATCH)
    ]
    outputs = [tagger(batch.log_mel) for batch in batches]
    output = TaggerOutput(
        **{name: torch.cat([getattr(output, name) for output in outputs]) for name in TaggerOutput.__slots__}
    )
    return tagging_figures(
        output, torch.cat([batch.tags for batch in batches]), torch.cat([batch.positions for batch in batches])
    )


def tagging_figures(output: TaggerOutput, tags: torch.Tensor, positions: torch.Tensor) -> TaggingFigures:
    """Compare predictions with (N, K) bool tags and (N, K) positions."""
    count = tags.sum(1)
    single, mixture = count == 1, count == 2
    correct = tags.gather(1, output.tags.argmax(1, keepdim=True)).squeeze(1)[single]
    return TaggingFigures(
        examples=len(tags),
        singles=int(single.sum()),
        mixtures=int(mixture.sum()),
        top1=_mean(correct.float()),
        precision=_mean(average_precision(output.tags[mixture], tags[mixture])),
        position=_mean((output.positions - positions).abs()[tags]),
        centre=_mean((0.5 - positions[tags]).abs()),
        presence=_mean(auroc(output.presence, tags.any(1)).float()),
    )


def average_precision(scores: torch.Tensor, tags: torch.Tensor) -> torch.Tensor:
    """Compute the average precision of each row.

    Mean precision at the ranks of the true tags (N, K) by scores (N, K).
    """
    ranked = tags.gather(1, scores.argsort(dim=1, descending=True, stable=True)).float()
    precision = ranked.cumsum(1) / torch.arange(1, tags.shape[1] + 1)
    return (precision * ranked).sum(1) / ranked.sum(1)


def _mean(values: torch.Tensor) -> float | None:
    mean = float(values.mean()) if len(values) else float("nan")
    return mean if mean == mean else None


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return run_stage(AudioStage, arguments)


if __name__ == "__main__":
    sys.exit(main())
