"""Model folders: load, check and save a network with its frozen parts."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import torch
from transformers import Sam2VideoModel

from auralsam2.baselines.network import AdapterNetwork, assemble_network
from auralsam2.config import NAMER_FOLDER, SAM2_FOLDER, TEXT_FOLDER, ModelConfig
from auralsam2.errors import ConfigError, UsageError
from auralsam2.hub import download
from auralsam2.hub.convert import HUB_ID
from auralsam2.modeling.network import AudioVisualNetwork, AuralNetwork
from auralsam2.modeling.object_namer import ObjectNamer
from auralsam2.modeling.openvino_encoder import OpenVinoEncoder
from auralsam2.modeling.prompt_encoder import VisualPrompts, embed_prompts
from auralsam2.modeling.sam2 import load_sam2
from auralsam2.modeling.text_encoder import TextEncoder
from auralsam2.utils.atomic_io import Staging, writing
from auralsam2.utils.pretrained import error_reason, is_large
from auralsam2.utils.weights import CONFIG_FILE, WEIGHTS_FILE, load_weights, save_weights


def assemble_model(
    config: ModelConfig, folder: Path | None = None, *, weights: Path | None = None, seed: int | None = None
) -> AudioVisualNetwork:
    """Load the frozen parts of a model and build its network, on the CPU.

    Args:
        config: names SAM 2 and the text encoder.
        folder: base of relative names of these parts; None for the working directory.
        weights: model folder with the weights of the trained parts; None initialises them.
        seed: of the initialisation; None continues the global generator.

    Raises:
        UnavailableError: a part is missing and cannot be downloaded, or a file is damaged.
        ConfigError: the parts do not match, or weights are not finite.
    """
    sam2_folder = download.fetch_sam2(config.sam2, folder)
    text = TextEncoder(download.fetch_text(config.text, folder)) if config.text is not None else None
    if text is not None and text.width != config.fuser.text_width:
        source = "model" if folder is None else folder / CONFIG_FILE
        raise ConfigError(
            f"{source}: fuser.text_width {config.fuser.text_width} differs from the text encoder's {text.width} "
            "channels"
        )
    state = None if weights is None else load_weights(weights)
    sam2 = load_sam2(sam2_folder, config.image_size)
    if weights is not None and state is not None and is_large(config.to_dict()):
        _without_storage(config, sam2).check_trained(state, weights / WEIGHTS_FILE)
    if seed is not None:
        torch.manual_seed(seed)
    network = assemble_network(config, sam2, text)
    if weights is not None and state is not None:
        network.load_trained(state, weights / WEIGHTS_FILE)
    return network


def load_network(folder: Path, image_size: int | None = None) -> AudioVisualNetwork:
    """Load the network of a model folder, on the CPU.

    Args:
        folder: a model folder, as `download.resolve` returns it.
        image_size: side of the square input in pixels; None for the model's own.

    Raises:
        UnavailableError: a part is missing and cannot be downloaded, or a file is damaged.
        ConfigError: the configuration is out of range, the parts do not match, or weights are not finite.
    """
    config = ModelConfig.load(folder)
    if image_size is not None:
        config = dataclasses.replace(config, image_size=image_size)
    return assemble_model(config, folder, weights=folder)


def accelerate(network: AudioVisualNetwork, dtype: str, name: str) -> None:
    """Let OpenVINO compute the image encoder of a network on the CPU; see `OpenVinoEncoder`.

    Args:
        network: on the CPU.
        dtype: fp32 or bf16.
        name: of the model, for the message.

    Raises:
        UsageError: OpenVINO is not installed or does not compute in `dtype`, or the model is a baseline, whose adapters
            are inside the encoder.
    """
    if not isinstance(network, AuralNetwork):
        raise UsageError(f"`backend=openvino`: model {name} is a baseline; use `backend=torch`")
    network.accelerated_encoder = OpenVinoEncoder(network.sam2, dtype, download.cache_dir() / "openvino")


def load_namer(folder: Path | None, name: str, width: int, names: bool | Path) -> ObjectNamer | None:
    """Load the namer of a model, or the one in another folder.

    Args:
        folder: of the model, or None.
        name: of the model.
        width: channels of its SAM 2.
        names: True for the namer of the model, a folder for another one, False for none.

    Raises:
        UsageError: there is no namer.
        ConfigError: the namer is damaged, or belongs to a model of another width.
    """
    if names is False:
        return None
    source = names if isinstance(names, Path) else None if folder is None else folder / NAMER_FOLDER
    if source is None or not source.is_dir():
        missing = f"no folder {names}" if isinstance(names, Path) else f"model {name} has no namer"
        raise UsageError(f"`names`: {missing}: use model mini, or train a namer, see docs/guide/train.md")
    namer = ObjectNamer.load(source)
    if namer.width != width:
        raise ConfigError(f"{source}: the namer belongs to a model of {namer.width} channels; {name} has {width}")
    return namer


def save_network(network: AudioVisualNetwork, folder: Path, source: Path | None = None) -> None:
    """Write a model folder: `config.json`, `model.safetensors`, the frozen parts with relative names, and the namer.

    Parts inside `source` are copied to `sam2/` and `text/`, its namer to `namer/`. Parts with a hub id or an absolute
    path elsewhere are referenced. Without `source`, parts with relative names are written from memory. The namer of
    another model in the folder is removed.

    Args:
        network: its trained parts are saved as float32.
        folder: created if missing. Its files appear complete or not at all.
        source: model folder that the network was loaded from.

    Raises:
        OutputError: the folder cannot be written; earlier files in it are unchanged.
    """
    config = network.config
    with writing(folder), Staging(folder) as staging:
        names = []
        for key, subfolder in (("sam2", SAM2_FOLDER), ("text", TEXT_FOLDER)):
            name = getattr(config, key)
            part = None if name is None or source is None else (source / name).resolve()
            if name is None or (part is not None and part.is_dir() and part.is_relative_to(folder.resolve())):
                continue
            if part is not None and source is not None and part.is_dir() and part.is_relative_to(source.resolve()):
                _copy(part, staging.path / subfolder)
            elif Path(name).is_absolute() or HUB_ID.fullmatch(name):
                continue
            else:
                _write(network, key, staging.path / subfolder)
            names.append(subfolder)
            config = dataclasses.replace(config, **{key: subfolder})
        withdrawn = []
        if source is None or source.resolve() != folder.resolve():
            if source is not None and (source / NAMER_FOLDER).is_dir():
                _copy(source / NAMER_FOLDER, staging.path / NAMER_FOLDER)
                names.append(NAMER_FOLDER)
            else:
                withdrawn.append(NAMER_FOLDER)
        config.save(staging.path)
        save_weights(network.trained_state(), staging.path)
        staging.publish([*names, WEIGHTS_FILE, CONFIG_FILE], withdrawn)


def _copy(part: Path, target: Path) -> None:
    """Copy the files directly inside a folder, without their permissions."""
    target.mkdir()
    for path in part.iterdir():
        if path.is_file() and not path.name.startswith("."):
            shutil.copyfile(path, target / path.name)


def _write(network: AudioVisualNetwork, key: str, target: Path) -> None:
    """Write a frozen part from memory, in transformers' format."""
    if key == "sam2":
        network.sam2.save_pretrained(target)
    elif network.text_encoder is not None:
        network.text_encoder.model.save_pretrained(target)
        network.text_encoder.tokeniser.save_pretrained(target)
    # safetensors creates files that only their owner can read.
    (target / WEIGHTS_FILE).chmod((target / CONFIG_FILE).stat().st_mode & 0o777)


@torch.no_grad()
def check_parts(network: AudioVisualNetwork, folder: Path | str) -> None:
    """Check whether the parts of a network match, after the network failed, by passing shapes through them.

    The parts run on the device `meta`, without computing values; this takes seconds.

    Args:
        network: the network that failed.
        folder: its model folder or name, for the message.

    Raises:
        ConfigError: the parts do not match.
    """
    text = network.text_encoder
    try:
        _pass_shapes(_without_storage(network.config, network.sam2), None if text is None else text.width)
    except Exception as error:  # torch and transformers raise many types for sizes that do not match
        raise ConfigError(
            f"{folder}: its parts do not fit each other ({error_reason(error)}); convert or copy the model again"
        ) from error


def _without_storage(config: ModelConfig, sam2: Sam2VideoModel) -> AudioVisualNetwork:
    """Return the network of a configuration on the device `meta`, without its text encoder."""
    with torch.device("meta"):
        return assemble_network(config, Sam2VideoModel(sam2.config)).eval()


def _pass_shapes(network: AudioVisualNetwork, text_width: int | None) -> None:
    """Pass one frame through image encoder, fuser, decoder and memory."""
    sam2, side, grid = network.sam2, network.image_size, network.image_size // 16
    meta = torch.device("meta")
    pixels, log_mel = torch.empty(1, 3, side, side, device=meta), torch.empty(1, 2, 96, 64, device=meta)
    text_features = None if text_width is None else torch.empty(5, text_width, device=meta)
    if isinstance(network, AuralNetwork):
        frames = network.encode(pixels)
        decoded = network.decode_independently(frames, network.fuse(frames, log_mel, text_features).prompts)
        embedding = frames[0].embedding
    else:
        assert isinstance(network, AdapterNetwork)
        decoded = network.decode(pixels, log_mel, text_features)
        embedding = torch.empty(1, sam2.hidden_dim, grid, grid, device=meta)
    click = VisualPrompts(torch.empty(1, 2, device=meta), torch.empty(1, dtype=torch.int32, device=meta))
    network.decoder(
        network.memory.without_memory(embedding),
        torch.empty(1, sam2.hidden_dim // 8, 4 * grid, 4 * grid, device=meta),
        torch.empty(1, sam2.hidden_dim // 4, 2 * grid, 2 * grid, device=meta),
        embed_prompts(sam2, click),
    )
    mask = torch.empty(1, 1, side, side, device=meta)
    remembered = network.memory.encode(embedding, mask, decoded.object_score)
    pointer = network.memory.object_pointer(decoded.tokens[:, 0], decoded.object_score)
    distances = range(max(network.memory.slots, 1))
    pointers = [(distance, pointer) for distance in range(max(network.memory.pointers, 1))]
    network.memory.attend(
        embedding, network.position, [(distance, remembered) for distance in distances], pointers, len(pointers)
    )
