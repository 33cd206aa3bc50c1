"""Conversion of released AuralSAM2 checkpoints (`.pth`) to model folders.

A released checkpoint is a flat table of tensors in one of two layouts:

- full: `v_model.*` (SAM 2), `aural_fuser.*` (the fuser, with VGGish under `vgg.`) and, for models that read text,
  `t_model.*` (RoBERTa);
- fuser only: the fuser's tensors without a prefix.

`release_format` maps the names of older exports. Names and shapes of each part are compared with those of the release
first: a checkpoint that does not match is an error, never a partly filled model.
"""

from __future__ import annotations

import logging
import re
import secrets
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from auralsam2.config import SAM2_FOLDER, SAM2_LARGE, TEXT_FOLDER, Modality, ModelConfig
from auralsam2.errors import ConfigError, OutputError, UsageError, quoted
from auralsam2.hub.release_format import FUSER_PREFIXES, UNUSED, Shapes, fuser_shapes, modern_names, sam2_names
from auralsam2.utils.pretrained import refuse_non_finite
from auralsam2.utils.weights import CONFIG_FILE, WEIGHTS_FILE, describe_mismatch, save_weights

if TYPE_CHECKING:
    import torch
    from transformers import RobertaModel, Sam2VideoConfig, Sam2VideoModel

logger = logging.getLogger(__name__)

HUB_ID = re.compile(r"(?P<repo>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(@(?P<revision>[\w./-]+))?")
"""Name of a model on the Hugging Face hub: `owner/name`, or `owner/name@revision` for a fixed revision."""

_FULL_PREFIXES = ("v_model.", "aural_fuser.", "audio_prompter.", "t_model.")


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Tensors of a complete checkpoint, by their current names.

    Attributes:
        fuser: tensors of the fuser without the unused ones.
        audio_encoder: tensors of VGGish, `features.*` and `embeddings.*`.
        sam2: tensors of SAM 2 by the names of transformers' `Sam2VideoModel`; None in a fuser-only file.
        text: tensors of the text encoder by the names of transformers' `RobertaModel`; None without text.
        modality: inputs of the fuser.
    """

    fuser: dict[str, torch.Tensor]
    audio_encoder: dict[str, torch.Tensor]
    sam2: dict[str, torch.Tensor] | None = None
    text: dict[str, torch.Tensor] | None = None
    modality: Modality = "audio"


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a released checkpoint; tensors stay memory-mapped until they are used.

    Args:
        path: `.pth` file of `torch.save`, or `.safetensors` file with the same names.

    Raises:
        UsageError: the file is missing or cannot be read.
        ConfigError: the file is damaged, could run code, or does not contain the tensors of a release.
    """
    return sort_tensors(_load(path), str(path))


def sort_tensors(tensors: Mapping[str, Any], source: str) -> Checkpoint:
    """Split the table of a checkpoint into its parts, by current names, and check each of them.

    One outer table, `{"model": …}` or `{"state_dict": …}`, is unwrapped, and a prefix `module.` of all names is
    removed.

    Args:
        tensors: name to tensor, in either layout.
        source: name of the checkpoint in messages.

    Raises:
        ConfigError: an entry is no tensor, a tensor is not finite, or names, shapes or types are not those of a
            release.
    """
    for wrapper in ("model", "state_dict"):
        if isinstance(tensors.get(wrapper), Mapping):
            tensors = tensors[wrapper]
            break
    reason = next(filter(None, (_invalid_reason(name, tensor) for name, tensor in tensors.items())), "")
    if reason or not tensors:
        reason = reason or "it is empty"
        raise ConfigError(f"{source}: not a table of tensors ({reason}); give the state_dict of a released checkpoint")
    if all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}

    full = any(name.startswith(_FULL_PREFIXES) for name in tensors)
    sam2, text, fuser = _part(tensors, "v_model."), _part(tensors, "t_model."), {}
    for old, new in modern_names(n for n in tensors if not n.startswith(("v_model.", "t_model."))).items():
        # In a full file, names without prefix stay unknown and are reported as such.
        fuser[new if not full or old.startswith(FUSER_PREFIXES) else f"{new} (without prefix)"] = tensors[old]
    modality: Modality = "audio+text" if any(name.startswith("text_proj.") for name in fuser) else "audio"

    checks = [("", fuser, fuser_shapes(ModelConfig.released(modality)))]
    if full:
        sam2 = _to_transformers(sam2, source)
        checks.append(("v_model: ", sam2, _shapes(_empty_sam2().state_dict())))
        checks.append(("t_model.", text, _shapes(_empty_text().state_dict()) if modality == "audio+text" else {}))
    _compare(checks, source)
    refuse_non_finite(tensors.items(), source)
    logger.info("%s: %s layout, %s", source, "full" if full else "fuser-only", modality)
    return Checkpoint(
        fuser={name: t for name, t in fuser.items() if not name.startswith("vgg.") and not UNUSED.match(name)},
        audio_encoder=_part(fuser, "vgg."),
        sam2=sam2 if full else None,
        text=text or None,
        modality=modality,
    )


def write_model_folder(
    checkpoint: Checkpoint, out_dir: Path, *, sam2: str | None = None, frames: int | None = None
) -> Path:
    """Write a model folder: `config.json`, `model.safetensors` and, if the checkpoint contains SAM 2, `sam2/`.

    The folder appears whole or not at all. It replaces an existing model folder, but no other folder with files.

    Args:
        checkpoint: tensors to write, as float32.
        out_dir: the folder.
        sam2: hub id or folder of the frozen SAM 2 for the configuration. None: the checkpoint's own SAM 2 is written to
            `sam2/`; without one, the configuration names the hub's.
        frames: length of the clip windows in frames; None for 5, with text 10.

    Returns:
        `out_dir`.

    Raises:
        UsageError: other files are in the folder, or `sam2` is neither a folder with a SAM 2 nor a hub id.
        OutputError: the folder cannot be written.
    """
    from safetensors import SafetensorError

    sam2_tensors = checkpoint.sam2 if sam2 is None else None
    sam2_name = SAM2_LARGE if sam2_tensors is None else SAM2_FOLDER
    if sam2 is not None:
        sam2_name = _sam2_name(sam2)
    out_dir = out_dir.expanduser().resolve()
    _check_replaceable(out_dir)

    draft = out_dir.with_name(f".{out_dir.name}.{secrets.token_hex(4)}.tmp")
    try:
        draft.mkdir(parents=True)
        ModelConfig.released(checkpoint.modality, sam2=sam2_name, frames=frames).save(draft)
        tensors = {f"fuser.{name}": tensor for name, tensor in checkpoint.fuser.items()}
        tensors |= {f"audio_encoder.{name}": tensor for name, tensor in checkpoint.audio_encoder.items()}
        save_weights(tensors, draft)
        if sam2_tensors is not None:
            _sam2_config().save_pretrained(draft / SAM2_FOLDER)
            save_weights(sam2_tensors, draft / SAM2_FOLDER)
        _move_into_place(draft, out_dir)
    except (OSError, SafetensorError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise OutputError(f"{out_dir}: cannot be written ({reason}); free space or choose another folder") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return out_dir


def convert(source: Path, out_dir: Path, sam2: str | None = None, frames: int | None = None) -> Path:
    """Convert a released `.pth` or `.safetensors` checkpoint to a model folder, as `auralsam2 convert` does.

    Arguments, result and errors are those of `read_checkpoint` and `write_model_folder`.
    """
    _check_replaceable(out_dir.expanduser().resolve())
    return write_model_folder(read_checkpoint(source), out_dir, sam2=sam2, frames=frames)


def _load(path: Path) -> dict[str, Any]:
    """Load the table of a file, memory-mapped, without running code from it."""
    import torch
    from safetensors.torch import load_file

    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); give a released .pth checkpoint") from error
    zipped = head == b"PK\x03\x04"
    if path.suffix != ".safetensors" and not zipped and head[:1] != b"\x80":
        raise ConfigError(f"{path}: no PyTorch checkpoint; give a released .pth or a .safetensors file")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        # Only the zipped format can be mapped; files of PyTorch before 1.6 are read whole.
        tensors = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except UnpicklingError as error:
        raise ConfigError(
            f"{path}: refused: it holds more than plain tensors, and opening it could run code; "
            "save its state_dict alone, or as .safetensors"
        ) from error
    except Exception as error:  # of torch, pickle, zipfile or safetensors: damaged bytes can raise any
        raise ConfigError(f"{path}: damaged or incomplete; download it again") from error
    if not isinstance(tensors, Mapping):
        raise ConfigError(f"{path}: not a table of tensors; give the state_dict of a released checkpoint")
    return dict(tensors)


def _invalid_reason(name: object, tensor: object) -> str:
    """Return why an entry of a checkpoint cannot be a weight, or an empty string."""
    import torch

    if not isinstance(name, str):
        return f"the key {quoted(name)} is no string"
    if not isinstance(tensor, torch.Tensor):
        return f"{quoted(name)} is no tensor"
    if tensor.layout != torch.strided or tensor.device.type == "meta" or tensor.is_quantized:
        return f"{quoted(name)} is sparse, quantised or without values"
    # Batch normalisations have an integer counter of batches.
    if not tensor.is_floating_point() and not name.endswith(".num_batches_tracked"):
        return f"{quoted(name)} holds {tensor.dtype}, not floats"
    if tensor.is_complex() or tensor.dtype == torch.bool:
        return f"{quoted(name)} holds {tensor.dtype}, not numbers"
    return ""


def _part(tensors: Mapping[str, Any], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _to_transformers(tensors: Mapping[str, torch.Tensor], source: str) -> dict[str, torch.Tensor]:
    """Rename SAM 2's tensors for transformers.

    Rows of one table are stacked, and raise ConfigError for unequal shapes.
    """
    import torch

    result: dict[str, torch.Tensor] = {}
    rows: dict[str, dict[int, torch.Tensor]] = {}
    for old, tensor in tensors.items():
        for copy, new in enumerate(sam2_names(old)):
            if new.endswith("]"):
                table, row = new.removesuffix("]").rsplit("[", 1)
                rows.setdefault(table, {})[int(row)] = tensor
            else:
                # safetensors refuses two names for one storage.
                result[new] = tensor.clone() if copy else tensor
    for table, parts in rows.items():
        stacked = [parts[row] for row in sorted(parts)]
        if len({row.shape for row in stacked}) > 1 or not stacked[0].ndim:
            shapes = ", ".join(str(list(row.shape)) for row in stacked)
            raise ConfigError(
                f"{source}: not a released AuralSAM2 checkpoint; the rows of {table} have shapes {shapes}"
            )
        result[table] = torch.cat(stacked)
    return result


def _sam2_config() -> Sam2VideoConfig:
    from auralsam2.modeling.sam2 import sam2_config

    config = sam2_config("large", "2.0")
    config.architectures = ["Sam2VideoModel"]
    return config


def _empty_sam2() -> Sam2VideoModel:
    import torch
    from transformers import Sam2VideoModel

    with torch.device("meta"):
        return Sam2VideoModel(_sam2_config())


def _empty_text() -> RobertaModel:
    """Build the release's text encoder, distilroberta with its pooler, without storage."""
    import torch
    from transformers import RobertaConfig, RobertaModel

    config = RobertaConfig(num_hidden_layers=6, max_position_embeddings=514, type_vocab_size=1)
    with torch.device("meta"):
        return RobertaModel(config)


def _shapes(tensors: Mapping[str, torch.Tensor]) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def _compare(checks: Iterable[tuple[str, Mapping[str, torch.Tensor], Shapes]], source: str) -> None:
    mismatch = describe_mismatch((prefix, _shapes(actual), expected) for prefix, actual, expected in checks)
    if mismatch:
        raise ConfigError(f"{source}: not a released AuralSAM2 checkpoint; {mismatch}")


def _sam2_name(sam2: str) -> str:
    """Return the configuration's name for SAM 2: a hub id unchanged, a folder as an absolute path."""
    folder = Path(sam2).expanduser()
    if (folder / CONFIG_FILE).is_file():
        return str(folder.resolve())
    if folder.exists() or not HUB_ID.fullmatch(sam2):
        raise UsageError(
            f"{sam2}: no SAM 2 in transformers' format; give such a folder or a hub id such as {SAM2_LARGE}"
        )
    return sam2


def _check_replaceable(folder: Path) -> None:
    """Raise UsageError unless the folder is missing, empty, or a model folder without other files."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UsageError(f"{folder}: a file is in the way; give a folder")
    names = {path.name for path in folder.iterdir()}
    foreign = sorted(names - {CONFIG_FILE, WEIGHTS_FILE, SAM2_FOLDER, TEXT_FOLDER})
    if not foreign and names:
        try:
            ModelConfig.load(folder)
        except (ConfigError, OSError):
            foreign = sorted(names)
    if foreign:
        raise UsageError(f"{folder}: holds {foreign[0]}, which is no part of a model; give a new or empty folder")


def _move_into_place(draft: Path, folder: Path) -> None:
    """Rename a finished draft to its folder, replacing an existing one."""
    old = draft.with_suffix(".old")
    if folder.exists():
        folder.rename(old)
    try:
        draft.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
