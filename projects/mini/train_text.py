"""Train the text encoder: `python -m projects.mini.train_text RECIPE [--set KEY=VALUE] [--resume]`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers.utils.logging import disable_progress_bar

from auralsam2.utils.atomic_io import write_file
from auralsam2.utils.weights import WEIGHTS_FILE
from projects.mini.evaluate_text import TextEvaluation
from projects.mini.export import export_text_encoder, round_to_half
from projects.mini.stage_loop import Schedule, Stage, run_stage
from projects.mini.text_data import SentenceBatches, SentenceSplit, SentenceStream
from projects.mini.text_network import TextReader, TextRecipe
from projects.mini.text_tokeniser import load_tokeniser, train_tokeniser

TOKENISER, MODEL = "tokenizer.json", "model"


class TextStage(Stage[TextRecipe]):
    """Trains a `TextReader`."""

    recipe_type = TextRecipe
    betas = (0.9, 0.98)
    columns = (
        "loss",
        "masked_loss",
        "name_loss",
        "place_loss",
        "hearing_loss",
        "masked",
        "name",
        "place",
        "hearing",
        "claim",
        "new_place",
        "new_hearing",
        "new_nearest",
    )
    printed = ("loss", "masked", "claim", "new_nearest")

    @property
    def phases(self) -> Mapping[str, Schedule]:
        """One phase."""
        return {"reading": self.recipe}

    def build_network(self, state: dict[str, torch.Tensor] | None) -> TextReader:
        """Build tokeniser and network."""
        self.sentences = self._sentences("train")
        self.tokeniser = self._tokeniser(new=state is None)
        torch.manual_seed(self.recipe.seed)
        reader = TextReader(self.recipe, self.tokeniser.get_vocab_size(), self.sentences.names)
        if state is not None:
            reader.load_state_dict(state)
        self.batches = SentenceBatches(self.tokeniser, reader, self.recipe.mask_prob)
        return reader

    def start_phase(self) -> None:
        """Make the sentences of the tests."""
        self._held_out = self._evaluation(self.recipe.test_scenes)

    def compute_loss(self) -> torch.Tensor:
        """Compute the loss of the sentences about some scenes."""
        recipe, rng = self.recipe, np.random.default_rng([self.recipe.seed, self.step])
        first = self.step * recipe.scenes
        sentences = [sentence for number in range(first, first + recipe.scenes) for sentence in self.sentences[number]]
        losses = self.network.losses(self.batches.make(sentences, recipe.split_prob, rng))
        for name, loss in losses.items():
            self.record(f"{name}_loss", loss.item())
        masked = losses["masked"]
        return masked + recipe.claim_weight * (sum(losses.values()) - masked)

    def evaluate(self) -> dict[str, float]:
        """Test on scenes outside training."""
        return self._held_out.measure(self.batches).row()

    def finish(self) -> dict[str, Any]:
        """Round the weights to half precision, write the encoder and test it."""
        round_to_half(self.network)
        folder = export_text_encoder(self.network, self.tokeniser, self.out / MODEL)
        return {
            "steps": self.recipe.steps,
            "seconds": round(self.seconds, 1),
            "parameters": sum(weight.numel() for weight in self.network.language.roberta.parameters()),
            "vocabulary": self.tokeniser.get_vocab_size(),
            "bytes": (folder / WEIGHTS_FILE).stat().st_size,
            **asdict(self._evaluation(self.recipe.final_scenes).measure(self.batches)),
        }

    def _sentences(self, split: SentenceSplit) -> SentenceStream:
        return SentenceStream(
            split,
            expressions=self.recipe.expressions,
            null_expressions=self.recipe.null_expressions,
            seed=self.recipe.seed,
            stamps=self.stamps,
        )

    def _evaluation(self, scenes: int) -> TextEvaluation:
        return TextEvaluation(scenes, self.sentences.names, self._sentences("val"), self._sentences("test-unseen"))

    def _tokeniser(self, *, new: bool) -> Tokenizer:
        """Read the run's tokeniser, or train it on the sentences of the first scenes."""
        path = self.out / TOKENISER
        if path.is_file() and not new:
            return load_tokeniser(path)
        scenes = range(self.recipe.tokeniser_scenes)
        tokeniser = train_tokeniser(
            (sentence.text for number in scenes for sentence in self.sentences[number]), self.recipe.vocabulary
        )
        write_file(path, tokeniser.to_str().encode())
        return tokeniser


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    disable_progress_bar()
    return run_stage(TextStage, arguments)


if __name__ == "__main__":
    sys.exit(main())
