"""Write frozen parts in transformers' format, as float16."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import PreTrainedModel, RobertaModel

from auralsam2.errors import ConfigError
from auralsam2.utils.atomic_io import Staging, writing
from auralsam2.utils.weights import save_weights
from projects.mini.text_network import TextReader
from projects.mini.text_tokeniser import wrap_tokeniser


def export_model(model: PreTrainedModel, folder: Path) -> Path:
    """Write `config.json` and `model.safetensors` of SAM 2 or a text encoder to a folder, replacing an existing model.

    Raises:
        OutputError: the folder cannot be written.
        ConfigError: a weight exceeds the range of float16.
    """
    return _export(model.config, model.state_dict(), folder)


@torch.no_grad()
def round_to_half(reader: TextReader) -> None:
    """Round the encoder's weights in place to float16 values.

    Raises:
        ConfigError: a weight exceeds the range of float16.
    """
    for name, weight in reader.language.roberta.named_parameters():
        rounded = weight.half()
        if not torch.isfinite(rounded).all():
            raise ConfigError(f"{name} exceeds the range of float16: train with a smaller rate")
        weight.copy_(rounded)


def export_text_encoder(reader: TextReader, tokeniser: Tokenizer, folder: Path) -> Path:
    """Write encoder and tokeniser for `modeling.text_encoder.TextEncoder`; existing files are replaced.

    The language-model head is left out. The unused pooler is written as zeros: without it, transformers would
    initialise one at random and warn at each load.
    """
    config = copy.deepcopy(reader.language.config)
    config.architectures = [RobertaModel.__name__]
    width = config.hidden_size
    pooler = {"pooler.dense.weight": torch.zeros(width, width), "pooler.dense.bias": torch.zeros(width)}
    return _export(config, pooler | reader.language.roberta.state_dict(), folder, tokeniser)


def _export(config: Any, state: Mapping[str, torch.Tensor], folder: Path, tokeniser: Tokenizer | None = None) -> Path:
    config = copy.deepcopy(config)
    config.dtype = torch.float32  # of the loaded weights
    with Staging(folder) as staging, writing(folder):
        if tokeniser is not None:
            wrap_tokeniser(tokeniser).save_pretrained(staging.path)
        config.save_pretrained(staging.path)
        save_weights(state, staging.path, half=True)
        staging.publish(sorted(path.name for path in staging.path.iterdir()))
    return folder
