"""Context in which the network of a model runs, and the network for videos of any length."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Protocol

import torch

from auralsam2.config import ModelConfig
from auralsam2.errors import UsageError
from auralsam2.inference.feature_cache import DEFAULT_LIMIT, DISK_LIMIT
from auralsam2.inference.object_state import Combine, Merge
from auralsam2.inference.video_session import VideoSession
from auralsam2.inference.video_source import VideoSource
from auralsam2.model_folder import check_parts
from auralsam2.modeling.network import AudioVisualNetwork, AuralNetwork
from auralsam2.types import Prompts
from auralsam2.utils.devices import DTYPES

_MISFITS = (RuntimeError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError, AssertionError)
"""Errors of torch and transformers for sizes or values of a configuration that do not match."""


class LoadedModel(Protocol):
    """The parts of an `AuralSAM2` that its context needs; see there."""

    network: AudioVisualNetwork
    name: str
    dtype: str
    folder: Path | None

    @property
    def config(self) -> ModelConfig:
        """Configuration of the network."""
        ...


def streaming_network(model: LoadedModel) -> AuralNetwork:
    """Return the network of a model that segments videos of any length.

    Raises:
        UsageError: the model is a baseline.
    """
    if not isinstance(model.network, AuralNetwork):
        raise UsageError(
            f"model {model.name} is the baseline {model.config.method}, which takes whole clips: use "
            "auralsam2 evaluate, or a model such as mini"
        )
    return model.network


@contextlib.contextmanager
def inference_context(model: LoadedModel) -> Iterator[None]:
    """Run the network without gradients, in the precision of the model.

    Raises:
        ConfigError: the network failed because its parts do not match.
    """
    mixed = model.dtype != "fp32"
    autocast = torch.autocast(model.network.device.type, DTYPES[model.dtype]) if mixed else contextlib.nullcontext()
    try:
        with torch.inference_mode(), autocast:
            yield
    except _MISFITS as error:
        if not isinstance(error, torch.OutOfMemoryError):
            check_parts(model.network, model.folder or model.name)
        raise


def open_session(
    model: LoadedModel,
    source: VideoSource,
    *,
    combine: Combine = "joint",
    merge: Merge = "mean_prob",
    memory: int = DEFAULT_LIMIT,
    disk: int = DISK_LIMIT,
) -> VideoSession:
    """Open an interactive session on a source; see `AuralSAM2.open`.

    Args:
        model: AuralSAM2, not a baseline.
        source: the video.
        combine: `joint` or `ensemble`.
        merge: merge rule of an ensemble.
        memory: limit of cached data in memory, in bytes.
        disk: limit of cached data in a temporary file, in bytes.

    Raises:
        InputError: the video cannot be read.
        UsageError: an option is unknown, or the model is a baseline.
    """
    compute = partial(inference_context, model)
    network = streaming_network(model)
    return VideoSession(network, source, compute, combine=combine, merge=merge, memory=memory, disk=disk)


def check_modality(config: ModelConfig, prompts: Prompts, name: str) -> None:
    """Check that a model takes text, if there is text among the prompts; raise a `UsageError` if it does not."""
    if prompts.texts and config.fuser.modality != "audio+text":
        raise UsageError(f"model {name} reads no text: omit `text`, or use a model such as ref-avs")
