"""Write a frozen part for the package: half precision on disk, float32 in memory."""

from __future__ import annotations

import copy
import secrets
import shutil
from pathlib import Path

import torch
from safetensors.torch import save
from tokenizers import Tokenizer
from transformers import PreTrainedModel, RobertaModel

from auralsam2.utils.atomic_io import writing
from auralsam2.utils.weights import CONFIG_FILE, WEIGHTS_FILE, save_weights
from projects.mini.text_network import TextReader
from projects.mini.text_tokeniser import wrap_tokeniser


def export_sam2(model: PreTrainedModel, folder: Path) -> Path:
    """Write a folder in transformers' format; a model that is there is replaced.

    Args:
        model: a SAM 2 or an encoder of text.
        folder: gets `config.json` and `model.safetensors`, floats as float16.

    Returns:
        `folder`.

    Raises:
        OutputError: the folder cannot be written.
        ConfigError: a weight does not fit into half precision.
    """
    config = copy.deepcopy(model.config)
    config.dtype = torch.float32  # what the weights become when they are loaded
    draft = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.tmp")
    with writing(folder):
        try:
            draft.mkdir(parents=True)
            config.save_pretrained(draft)
            save_weights(model.state_dict(), draft, half=True)
            folder.mkdir(exist_ok=True)
            for name in (WEIGHTS_FILE, CONFIG_FILE):
                (draft / name).replace(folder / name)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return folder


@torch.no_grad()
def half_precision(reader: TextReader) -> None:
    """Round the encoder's weights, in place, to what half precision can hold.

    Raises:
        ValueError: one is too large for it.
    """
    for name, weight in reader.language.roberta.named_parameters():
        rounded = weight.half()
        if not torch.isfinite(rounded).all():
            raise ValueError(f"{name} does not fit into half precision")
        weight.copy_(rounded)


def export_text_encoder(reader: TextReader, tokeniser: Tokenizer, folder: Path) -> Path:
    """Write encoder and tokeniser in transformers' format; what is there by these names is replaced.

    The file has no part that guesses tokens. It has a pooler, which nobody uses and which is zero: without one
    transformers would make it up from random numbers, and warn of it, whenever the encoder is loaded.

    Args:
        reader: trained, its weights as `to_half` leaves them.
        tokeniser: the one it was trained with.
        folder: gets `config.json`, `model.safetensors` and the tokeniser's files; `text.encoder.TextEncoder` reads it.

    Returns:
        `folder`.
    """
    config = copy.deepcopy(reader.language.config)
    config.dtype = torch.float32  # what the weights become when they are loaded
    config.architectures = [RobertaModel.__name__]
    state = {f"pooler.dense.{name}": torch.zeros(shape) for name, shape in _pooler(config.hidden_size).items()}
    state |= reader.language.roberta.state_dict()
    halves = {
        name: (value.half() if value.is_floating_point() else value).contiguous().clone()
        for name, value in state.items()
    }
    draft = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.tmp")
    with writing(folder):
        try:
            draft.mkdir(parents=True)
            wrap_tokeniser(tokeniser).save_pretrained(draft)
            config.save_pretrained(draft)
            # Not `save_file`, whose files only their owner may read.
            (draft / WEIGHTS_FILE).write_bytes(save(halves, metadata={"format": "pt"}))
            folder.mkdir(exist_ok=True)
            # The configuration last: without it, a folder is no encoder.
            for path in sorted(draft.iterdir(), key=lambda path: path.name == CONFIG_FILE):
                path.replace(folder / path.name)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return folder


def _pooler(width: int) -> dict[str, tuple[int, ...]]:
    return {"weight": (width, width), "bias": (width,)}
