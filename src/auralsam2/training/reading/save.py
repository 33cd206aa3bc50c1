"""Write the encoder for the package: half precision on disk, float32 in memory."""

from __future__ import annotations

import copy
import secrets
import shutil
from pathlib import Path

import torch
from safetensors.torch import save
from tokenizers import Tokenizer
from transformers import RobertaModel

from auralsam2.config import CONFIG_FILE, WEIGHTS_FILE
from auralsam2.outputs.staging import writing
from auralsam2.training.reading.network import Reader
from auralsam2.training.reading.tokeniser import wrap


@torch.no_grad()
def to_half(reader: Reader) -> None:
    """Round the encoder's weights, in place, to what half precision can hold.

    Raises:
        ValueError: one is too large for it.
    """
    for name, weight in reader.language.roberta.named_parameters():
        rounded = weight.half()
        if not torch.isfinite(rounded).all():
            raise ValueError(f"{name} does not fit into half precision")
        weight.copy_(rounded)


def save_encoder(reader: Reader, tokeniser: Tokenizer, folder: Path) -> Path:
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
            wrap(tokeniser).save_pretrained(draft)
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
