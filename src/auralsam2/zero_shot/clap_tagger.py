"""Default audio tagger: CLAP compares each second of audio with a list of labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from transformers import AutoTokenizer, ClapFeatureExtractor, ClapModel

from auralsam2.errors import UnavailableError, UsageError
from auralsam2.zero_shot.interfaces import Tag

CLAP = "laion/clap-htsat-unfused"
RATE_FACTOR = 3
"""CLAP's sampling rate of 48 kHz, divided by that of this package."""


class ClapTagger:
    """Zero-shot tags: softmax over labels and negatives, for each second.

    Args:
        model, tokeniser, extractor: CLAP without fusion.
        labels: names of possible sounds.
        negatives: sounds that are never an answer, such as "silence" or "wind".
        min_probability: τ_a, minimum probability for a label to be active in a second.
        max_labels: maximum number of labels of a clip.
        name: identifier for the cache.

    Raises:
        UsageError: no labels.
    """

    def __init__(
        self,
        model: ClapModel,
        tokeniser: Any,
        extractor: ClapFeatureExtractor,
        labels: Sequence[str],
        negatives: Sequence[str] = ("silence", "background noise", "wind"),
        *,
        min_probability: float = 0.3,
        max_labels: int = 3,
        name: str = CLAP,
    ) -> None:
        if not labels:
            raise UsageError("a tagger needs labels: give the names of what may sound")
        self.model, self.extractor = model.eval(), extractor
        self.labels, self.min_probability, self.max_labels = tuple(labels), min_probability, max_labels
        self.name = f"{name} {min_probability} {max_labels} {'|'.join((*labels, '', *negatives))}"
        phrases = [f"the sound of {label}" for label in (*labels, *negatives)]
        with torch.inference_mode():
            batch = tokeniser(phrases, padding=True, return_tensors="pt").to(model.device)
            self._text_features = _unit(model.get_text_features(batch["input_ids"], batch["attention_mask"]))

    @classmethod
    def from_pretrained(
        cls, labels: Sequence[str], model: str = CLAP, device: str = "cpu", **options: Any
    ) -> ClapTagger:
        """Load a published CLAP from the hub or a folder; raise UnavailableError if it is not available."""
        try:
            parts = (
                ClapModel.from_pretrained(model),
                AutoTokenizer.from_pretrained(model),
                ClapFeatureExtractor.from_pretrained(model),
            )
        except (OSError, ValueError) as error:
            raise UnavailableError(f"{model}: no CLAP ({str(error).splitlines()[0]})") from error
        cast(nn.Module, parts[0]).to(device)
        return cls(*parts, labels, name=model, **options)

    @torch.inference_mode()
    def tag(self, seconds: np.ndarray) -> list[Tag]:
        """Return the tags of a clip, the most probable first; ties in the order of the labels."""
        probabilities = torch.stack([self._probabilities(second) for second in seconds])
        scores = probabilities.max(0).values[: len(self.labels)]
        order = sorted(range(len(self.labels)), key=lambda number: (-float(scores[number]), number))
        return [
            Tag(
                label=self.labels[number],
                score=float(scores[number]),
                active=tuple((probabilities[:, number] >= self.min_probability).tolist()),
            )
            for number in order[: self.max_labels]
            if scores[number] >= self.min_probability
        ]

    def _probabilities(self, samples: np.ndarray) -> torch.Tensor:
        """Compute the probabilities of labels and negatives for (16000,) samples."""
        spectrum = torch.fft.rfft(torch.from_numpy(np.ascontiguousarray(samples)).float())
        sound = torch.fft.irfft(spectrum, n=RATE_FACTOR * len(samples)) * RATE_FACTOR  # band-limited upsampling
        features = self.extractor(
            sound.numpy(),
            sampling_rate=self.extractor.sampling_rate,
            truncation="rand_trunc",  # one second is never truncated
            return_tensors="pt",
        )["input_features"].to(self.model.device)
        similarity = _unit(self.model.get_audio_features(features)) @ self._text_features.T
        return (similarity[0] * self.model.logit_scale_a.exp()).softmax(0).float().cpu()


def _unit(features: Any) -> torch.Tensor:
    rows = features if isinstance(features, torch.Tensor) else features.pooler_output
    return torch.nn.functional.normalize(rows, dim=-1)
