"""Check and load frozen parts in transformers' format.

transformers and tokenizers raise errors of almost any class for damaged files, build models of any size that a
configuration asks for, and fill weights that a file lacks with random numbers. Here each of these is one error.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from auralsam2.errors import AuralError, ConfigError, UnavailableError, quoted

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

Model = TypeVar("Model", bound="PreTrainedModel")

_MAX_INTEGER, _MAX_COUNT = 2**24, 1024
"""Greatest whole number in a configuration, and greatest number of layers, blocks or stages."""
_COUNTED = re.compile(r"layers|blocks|stages?$|depth|num_labels|num_maskmem|multimask")
_ELSEWHERE = re.compile(r"(^|\.)(use_pretrained_backbone|model_args\.(pretrained(_cfg\w*)?|checkpoint_path)(\..*)?)$")
"""Keys with which transformers or timm load the weights of a backbone from the hub or from another file."""
_SLACK = 2**21
"""Numbers that a model may hold beyond 1.25 times those in its file, such as a pooler that nothing reads."""
_BUFFERS = 2**26
"""Most numbers in the buffers that a model computes from its configuration."""
_WIDE, _DEEP = 2048, 64
"""Up to these numbers, a wrong configuration asks for no more memory than a right one of a large model."""


@contextlib.contextmanager
def pretrained_errors(folder: Path, kind: str) -> Iterator[None]:
    """Convert errors of the libraries that read a folder to UnavailableError; errors of the family pass.

    `kind` names the expected content, such as `text encoder with tokeniser`.
    """
    try:
        yield
    except AuralError:
        raise
    except Exception as error:
        raise UnavailableError(f"{folder}: no {kind} ({error_reason(error)}); copy or download it again") from error


def error_reason(error: BaseException) -> str:
    """Return an error's message on one line, cut to 300 characters, or its class where it has none."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:300]}…"


def check_config(folder: Path) -> bool:
    """Refuse a `config.json` whose numbers no published model has, or that names files elsewhere.

    It is checked before transformers builds the model. Return `is_large`.

    Raises:
        ConfigError: a number is out of range, or a backbone would be loaded from the hub or from another file; the
            message names the key.
        ValueError: the file is no JSON object.
        OSError: the file cannot be read.
    """
    path = folder / "config.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(values, dict):
        raise ValueError("config.json is no JSON object")
    for key, value in _numbers(values, ""):
        limit = _MAX_COUNT if _COUNTED.search(key) else _MAX_INTEGER
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{path}: {key} is {value}; copy or download the file again")
        if isinstance(value, int) and abs(value) > limit:
            raise ConfigError(f"{path}: {key} is {quoted(value)}, beyond {limit}; copy or download the file again")
    for key, value in _values(values, ""):
        name = key.rpartition(".")[2]
        if (name == "architecture" and ":" in str(value)) or (value and _ELSEWHERE.search(key)):
            raise ConfigError(f"{path}: {key} {quoted(str(value))} would load files from elsewhere: remove it")
    return is_large(values)


def is_large(values: dict[str, Any]) -> bool:
    """Return whether a configuration has numbers with which a model could exceed the memory if they are wrong.

    Such a model is first built without storage and compared with its files, which takes some tenths of a second.
    """
    return any(value > (_DEEP if _COUNTED.search(key) else _WIDE) for key, value in _numbers(values, ""))


def load_outline(make: Callable[[], Model], folder: Path) -> Model:
    """Build a model without storage, on the device `meta`, and compare its number of weights with that in its files.

    Raises:
        ValueError: the model needs many more numbers than the files hold.
        SafetensorError: a file is damaged.
    """
    import torch

    with torch.device("meta"):
        model = make().eval()
    needed, stored = sum(weight.numel() for weight in model.parameters()), _stored(folder)
    if needed > 1.25 * stored + _SLACK:
        raise ValueError(f"config.json asks for {needed} weights, the files hold {stored}")
    if (computed := sum(buffer.numel() for buffer in model.buffers())) > max(_BUFFERS, 2 * needed):
        raise ValueError(f"config.json asks for tables of {computed} numbers")
    return model


def load_part(kind: Any, folder: Path, config: Any, optional: tuple[str, ...] = ()) -> Any:
    """Load a model of a class of transformers strictly: float32, evaluation mode, no gradients.

    The files may lack weights with a prefix in `optional`.

    Raises:
        ConfigError: weights are missing, or not finite; the message names the first.
        Exception: any error of transformers.
    """
    import torch

    model, info = kind.from_pretrained(
        folder, config=config, use_safetensors=True, dtype=torch.float32, output_loading_info=True
    )
    missing = sorted(name for name in info["missing_keys"] if not name.startswith(optional))
    if missing:
        raise ConfigError(f"{folder}: {len(missing)} weights are missing, such as {missing[0]}; copy the folder again")
    refuse_non_finite(model.state_dict().items(), folder)
    return model.eval().requires_grad_(False)


def refuse_non_finite(tensors: Iterable[tuple[str, torch.Tensor]], source: Path | str) -> None:
    """Check that all numbers of named tensors from a source are finite.

    Raises:
        ConfigError: a tensor holds NaN or infinity; the message names it.
    """
    for name, tensor in tensors:
        if not tensor.is_floating_point():
            continue
        # What is repeated is looked at once.
        tensor = tensor[tuple(slice(0, 1) if step == 0 else slice(None) for step in tensor.stride())]
        # Types of one byte have no isfinite, and float64 becomes float32.
        if not (tensor if tensor.element_size() in (2, 4) else tensor.float()).isfinite().all():
            raise ConfigError(f"{source}: {quoted(name)} holds NaN or infinity; copy or train the model again")


def _numbers(value: Any, key: str) -> Iterator[tuple[str, int | float]]:
    """Yield all numbers in nested plain values with their dotted keys."""
    for name, inner in _values(value, key):
        if isinstance(inner, int | float) and not isinstance(inner, bool):
            yield name, inner


def _values(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Yield all values in nested dictionaries and lists with their dotted keys."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _values(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for inner in value:
            yield from _values(inner, key)
    else:
        yield key, value


def _stored(folder: Path) -> int:
    """Count the numbers in the safetensors files of a folder by their headers."""
    from safetensors import safe_open

    total = 0
    for path in folder.glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            total += sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    return total
