"""Write a frozen part for the package: half precision on disk, float32 in memory."""

from __future__ import annotations

import copy
import secrets
import shutil
from pathlib import Path

import torch
from transformers import PreTrainedModel

from auralsam2.config import CONFIG_FILE, WEIGHTS_FILE
from auralsam2.outputs.staging import writing
from auralsam2.weights import save_weights


def save_model(model: PreTrainedModel, folder: Path) -> Path:
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
