"""The default tagger: CLAP compares each second of sound with a list of labels."""

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
"""CLAP hears 48 kHz."""


class ClapTagger:
    """Zero-shot tags: softmax over labels and negatives, second by second.

    Args:
        model, tokeniser, extractor: of CLAP, one without fusion.
        labels: what may sound.
        negatives: what may be heard beside, and is no answer, such as "silence" or "wind".
        least: τ_a, probability from which on a label sounds in a second.
        most: labels of a clip, at most.
        name: for the cache.

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
        least: float = 0.3,
        most: int = 3,
        name: str = CLAP,
    ) -> None:
        if not labels:
            raise UsageError("a tagger needs labels: give the names of what may sound")
        self.model, self.extractor = model.eval(), extractor
        self.labels, self.least, self.most = tuple(labels), least, most
        self.name = f"{name} {least} {most} {'|'.join((*labels, '', *negatives))}"
        words = [f"the sound of {label}" for label in (*labels, *negatives)]
        with torch.inference_mode():
            batch = tokeniser(words, padding=True, return_tensors="pt").to(model.device)
            self._words = _unit(model.get_text_features(batch["input_ids"], batch["attention_mask"]))

    @classmethod
    def from_pretrained(
        cls, labels: Sequence[str], model: str = CLAP, device: str = "cpu", **options: Any
    ) -> ClapTagger:
        """Load a published one from the hub, or a folder.

        Raises:
            UnavailableError: it is not here and cannot be fetched.
        """
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
        """Tags of a clip, the surest first; of equals, the one that comes first in the list."""
        odds = torch.stack([self._second(second) for second in seconds])
        scores = odds.max(0).values[: len(self.labels)]
        order = sorted(range(len(self.labels)), key=lambda number: (-float(scores[number]), number))
        return [
            Tag(
                label=self.labels[number],
                score=float(scores[number]),
                active=tuple((odds[:, number] >= self.least).tolist()),
            )
            for number in order[: self.most]
            if scores[number] >= self.least
        ]

    def _second(self, samples: np.ndarray) -> torch.Tensor:
        """Probabilities of labels and negatives in (16000,) samples."""
        wide = torch.fft.rfft(torch.from_numpy(np.ascontiguousarray(samples)).float())
        sound = torch.fft.irfft(wide, n=RATE_FACTOR * len(samples)) * RATE_FACTOR  # band-limited, three times as fast
        heard = self.extractor(
            sound.numpy(),
            sampling_rate=self.extractor.sampling_rate,
            truncation="rand_trunc",  # there is nothing to cut off a second
            return_tensors="pt",
        )["input_features"].to(self.model.device)
        alike = _unit(self.model.get_audio_features(heard)) @ self._words.T
        return (alike[0] * self.model.logit_scale_a.exp()).softmax(0).float().cpu()


def _unit(features: Any) -> torch.Tensor:
    """Rows of length 1."""
    rows = features if isinstance(features, torch.Tensor) else features.pooler_output
    return torch.nn.functional.normalize(rows, dim=-1)
