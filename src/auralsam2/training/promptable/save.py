"""Write the model for the package: half precision on disk, float32 in memory."""

from __future__ import annotations

import copy
import secrets
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import Sam2VideoModel

from auralsam2.config import CONFIG_FILE, WEIGHTS_FILE
from auralsam2.outputs.staging import writing


def save_model(model: Sam2VideoModel, folder: Path) -> Path:
    """Write a folder in transformers' format; a model that is there is replaced.

    Args:
        model: any SAM 2.
        folder: gets `config.json` and `model.safetensors`, floats as float16.

    Returns:
        `folder`.
    """
    state = {
        name: (value.half() if value.is_floating_point() else value).contiguous().clone()
        for name, value in model.state_dict().items()
    }
    unsafe = [name for name, value in state.items() if value.is_floating_point() and not torch.isfinite(value).all()]
    if unsafe:
        raise ValueError(f"{unsafe[0]} does not fit into half precision")
    config = copy.deepcopy(model.config)
    config.dtype = torch.float32  # what the weights become when they are loaded
    draft = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.tmp")
    with writing(folder):
        try:
            draft.mkdir(parents=True)
            config.save_pretrained(draft)
            save_file(state, draft / WEIGHTS_FILE, metadata={"format": "pt"})
            folder.mkdir(exist_ok=True)
            for name in (WEIGHTS_FILE, CONFIG_FILE):
                (draft / name).replace(folder / name)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return folder
