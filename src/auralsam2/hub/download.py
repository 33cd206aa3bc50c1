"""Model folders by name: download, verification, cache.

Downloads go through `huggingface_hub` with its cache and resuming. `access` has the arguments of requests; the
variables `HF_ENDPOINT`, `HF_HUB_OFFLINE`, `HF_HUB_CACHE` and `HF_TOKEN` are read at each request. A cached model is
used without a request, so that it does not change.

The cache of this package, `$AURALSAM2_CACHE` or `~/.cache/auralsam2`, contains for each released model

- `models/NAME/`: the model folder converted from its checkpoint;
- `pins/NAME.json`: commit and SHA-256 of that checkpoint, recorded at the first download. Later downloads request that
  commit and must return the same bytes. Delete the file to accept a newer release.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.utils import WeakFileLock

from auralsam2.config import NAMER_FOLDER, SAM2_FOLDER, TEXT_FOLDER, ModelConfig
from auralsam2.errors import ConfigError, OutputError, UnavailableError, UsageError
from auralsam2.hub.access import endpoint, hub_options
from auralsam2.hub.convert import HUB_ID, convert
from auralsam2.hub.registry import REGISTRY, ModelEntry
from auralsam2.hub.snapshots import (
    DOWNLOAD_ERRORS,
    Needs,
    cached_snapshot,
    check_connection,
    checked,
    missing_file,
    snapshot,
    unavailable,
)
from auralsam2.paths import is_file, is_folder
from auralsam2.utils.weights import CONFIG_FILE, WEIGHTS_FILE, file_hash, verify_blob

logger = logging.getLogger(__name__)

BUNDLED = Path(__file__).parents[1] / "bundled"
"""Folder of the bundled models."""


# Files that a folder must contain; of each group one suffices.
_WEIGHTS = (WEIGHTS_FILE, f"{WEIGHTS_FILE}.index.json")
_MODEL_NEEDS = ((CONFIG_FILE,), (WEIGHTS_FILE,))
_SAM2_NEEDS = ((CONFIG_FILE,), _WEIGHTS)
_TEXT_NEEDS = ((CONFIG_FILE,), _WEIGHTS, ("tokenizer.json", "vocab.json"))

_SAM2_FILES = [CONFIG_FILE, "model*.safetensors", "model.safetensors.index.json"]
_TEXT_FILES = [*_SAM2_FILES, "tokenizer*.json", "special_tokens_map.json", "vocab.json", "merges.txt"]
_MODEL_FILES = [
    *(CONFIG_FILE, WEIGHTS_FILE),
    *(f"{SAM2_FOLDER}/{name}" for name in ("*.json", "*.safetensors")),
    *(f"{TEXT_FOLDER}/{name}" for name in ("*.json", "*.txt", "*.safetensors")),
    *(f"{NAMER_FOLDER}/{name}" for name in (CONFIG_FILE, WEIGHTS_FILE)),
]


def cache_dir() -> Path:
    """Return the cache folder: `$AURALSAM2_CACHE`, else `~/.cache/auralsam2`."""
    return Path(os.environ.get("AURALSAM2_CACHE") or "~/.cache/auralsam2").expanduser()


def resolve(name_or_dir: str, revision: str | None = None) -> Path:
    """Return the folder of a model; download and convert it if necessary.

    Args:
        name_or_dir: registered name, folder, or hub id `owner/name[@revision]`. A registered name takes precedence over
            a folder of that name in the working directory: write `./mini` for the folder.
        revision: branch, tag or commit of a hub id.

    Returns:
        folder with `config.json` and `model.safetensors`.

    Raises:
        UnavailableError: there is no such model, or it is neither on this machine nor downloadable.
        ConfigError: the downloaded checkpoint is not valid.
        OutputError: the cache cannot be written.
        UsageError: `revision` is given for a folder or a registered name, or twice.
    """
    local = _local(name_or_dir)
    if revision is not None:
        if local is not None or name_or_dir in REGISTRY:
            raise UsageError(f"`revision={revision}` belongs to hub ids, and {name_or_dir} is none: omit it")
        if "@" in name_or_dir or HUB_ID.fullmatch(f"{name_or_dir}@{revision}") is None:
            raise UsageError(f"`revision={revision}`: give one branch, tag or commit of {name_or_dir}")
        name_or_dir = f"{name_or_dir}@{revision}"
    if local is not None:
        return local
    entry = REGISTRY.get(name_or_dir)
    if entry is not None:
        return _released_folder(entry)
    return snapshot(name_or_dir, _MODEL_NEEDS, _MODEL_FILES, "give its folder as the model")


def check_available(name_or_dir: str) -> None:
    """Raise the errors of `resolve` that need no network; faster than importing torch."""
    _local(name_or_dir)


def check_text(name_or_dir: str, texts: Collection[str]) -> None:
    """Check that a model takes text, if there is text; of a hub id, the configuration alone is downloaded.

    Raises:
        UsageError: the model reads no text.
        ConfigError: its configuration is damaged.
        UnavailableError: the configuration is neither on this machine nor downloadable.
    """
    entry = REGISTRY.get(name_or_dir)
    if entry is not None:
        reads = "text" in _modalities(entry, _folder(entry))
    else:
        folder = _local(name_or_dir)
        if folder is None and texts:
            folder = snapshot(name_or_dir, ((CONFIG_FILE,),), [CONFIG_FILE], "give its folder as the model")
        reads = folder is None or ModelConfig.load(folder).fuser.modality == "audio+text"
    if texts and not reads:
        raise UsageError(f"model {name_or_dir} reads no text: omit `text`, or use a model such as ref-avs")


def _local(name_or_dir: str) -> Path | None:
    """Return the folder of a model on this machine; None for one of the hub."""
    entry = REGISTRY.get(name_or_dir)
    if entry is not None:
        return _bundled(entry) if entry.repo is None else None
    folder = Path(name_or_dir).expanduser()
    if is_folder(folder):
        return checked(folder, _MODEL_NEEDS, "give a model folder, as `auralsam2 convert` writes it")
    if is_file(folder):
        raise UnavailableError(f"{folder}: a file, not a model folder; run: auralsam2 convert {folder} DIR")
    if not HUB_ID.fullmatch(name_or_dir):
        names = ", ".join(REGISTRY)
        raise UnavailableError(f"no model {name_or_dir!r}; give one of {names}, a model folder, or a hub id OWNER/NAME")
    return None


def fetch_sam2(id_or_dir: str, base: Path | None = None) -> Path:
    """Return the folder of a frozen SAM 2 in transformers' format.

    Args:
        id_or_dir: folder, hub id `owner/name[@revision]`, or name of a bundled model.
        base: model folder, which contains relative folders; None for the working directory.

    Raises:
        ConfigError: a relative folder is outside the model folder.
        UnavailableError: it is neither on this machine nor downloadable.
    """
    remedy = "give its folder when converting: auralsam2 convert FILE.pth OUT_DIR --sam2 DIR"
    return _part(id_or_dir, base, "sam2", _SAM2_NEEDS, _SAM2_FILES, remedy)


def sam2_image_size(folder: Path) -> int:
    """Return the side of the square input of a SAM 2 in pixels, by its configuration.

    Raises:
        UnavailableError: the configuration is damaged.
    """
    try:
        size = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))["image_size"]
        return int(size[0] if isinstance(size, list) else size)
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise UnavailableError(f"{folder / CONFIG_FILE}: no image size; copy or download the folder again") from error


def fetch_text(id_or_dir: str, base: Path | None = None) -> Path:
    """Return the folder of a frozen text encoder with its tokeniser; arguments and errors as in `fetch_sam2`."""
    remedy = f'name its folder as "text" in the {CONFIG_FILE} of the model'
    return _part(id_or_dir, base, "text", _TEXT_NEEDS, _TEXT_FILES, remedy)


def fetch_mask2former(id_or_dir: str) -> Path:
    """Return the folder of a Mask2Former in transformers' format, by folder or hub id; errors as in `fetch_sam2`."""
    remedy = "name its folder as mask2former in the recipe"
    return _part(id_or_dir, None, "mask2former", _SAM2_NEEDS, _SAM2_FILES, remedy)


def weights_hash(folder: Path) -> str:
    """Return a short hash of all files that a model computes with: trained part, SAM 2 and text encoder.

    Local files are hashed by `weights.file_hash`, regardless of their folder; parts in the hub's cache by their commit;
    missing parts by their hub id. Nothing is downloaded.

    Args:
        folder: model folder, as `resolve` returns it.

    Returns:
        16 hexadecimal digits.

    Raises:
        ConfigError: the configuration is damaged, or a part is outside the model folder.
        UnavailableError: a file cannot be read, or a named folder does not exist.
    """
    config = ModelConfig.load(folder)
    lines = [_files_hash(folder)]
    for name, key in ((config.sam2, "sam2"), (config.text, "text")):
        if name is None:
            continue
        part = _inside(name, folder, key)
        if part.is_dir():
            lines.append(f"{key} {_files_hash(part)}")
        elif match := HUB_ID.fullmatch(name):
            cached = cached_snapshot(match["repo"], match["revision"], ["*"])
            lines.append(f"{key} {match['repo']} {cached.name if cached else match['revision']}")
        else:
            raise UnavailableError(f"{part}: no such folder, which the model names as its {key}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _files_hash(folder: Path) -> str:
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix in (".json", ".txt", ".safetensors"))
        return " ".join(f"{path.name} {file_hash(path)}" for path in paths)
    except OSError as error:
        raise UnavailableError(f"{folder}: cannot be read ({error.strerror or error}); copy the model again") from error


def available() -> list[dict[str, Any]]:
    """List the registered models, for `auralsam2 models`.

    Returns:
        for each model a dictionary of `name`, `task`, `modalities`, `size_mb` (of `model.safetensors`; None if
        unknown), `cached` (usable without a download of its checkpoint), `licence` and `source`.
    """
    listing = []
    for entry in REGISTRY.values():
        folder = _folder(entry)
        cached = not missing_file(folder, _MODEL_NEEDS)
        size = round((folder / WEIGHTS_FILE).stat().st_size / 1e6, 1) if cached else entry.size_mb
        source = f"https://huggingface.co/{entry.repo}" if entry.repo else "in the package"
        listing.append(
            {
                "name": entry.name,
                "task": entry.task,
                "modalities": _modalities(entry, folder),
                "size_mb": size,
                "cached": cached,
                "licence": entry.licence,
                "source": source,
            }
        )
    return listing


def fetch_release(entry: ModelEntry) -> Path:
    """Download the checkpoint of a released model, or take it from the hub's cache, and verify it.

    The SHA-256 must equal the hub's (the ETag of a large file, by which the cache names the file if the file system has
    symbolic links), and that of the pin, if there is one.

    Raises:
        UnavailableError: neither on this machine nor downloadable, or different bytes.
        OutputError: no space, or no permission to write the cache.
    """
    assert entry.repo is not None
    pin_file = cache_dir() / "pins" / f"{entry.name}.json"
    pin = _read_pin(pin_file, entry)
    revision = pin.get("commit", entry.revision)
    url = hf_hub_url(entry.repo, entry.filename, revision=revision, endpoint=endpoint())
    subject = f"{entry.filename} of {entry.repo}"
    remedy = "download it elsewhere, run: auralsam2 convert FILE.pth DIR, and give DIR as the model"
    options = hub_options()
    try:
        if not isinstance(
            try_to_load_from_cache(entry.repo, entry.filename, options["cache_dir"], revision=revision), str
        ):
            check_connection()
        path = Path(hf_hub_download(entry.repo, entry.filename, revision=revision, **options))
    except DOWNLOAD_ERRORS as error:
        raise unavailable(subject, url, error, remedy) from error

    digest = verify_blob(path)
    if pin.get("sha256", digest) != digest:
        raise UnavailableError(
            f"{path}: SHA-256 is {digest}, but {pin['sha256']} was recorded at the first download; "
            f"delete the file, or {pin_file} if a new release is meant, and run again"
        )
    if not pin:
        pin = {"repo": entry.repo, "filename": entry.filename, "commit": _commit(path), "sha256": digest}
        pin_file.parent.mkdir(parents=True, exist_ok=True)
        draft = pin_file.with_name(f".{pin_file.name}.{os.getpid()}")
        draft.write_text(json.dumps(pin, indent=2) + "\n", encoding="utf-8")
        draft.replace(pin_file)
    return path


def _folder(entry: ModelEntry) -> Path:
    return BUNDLED / entry.name if entry.repo is None else cache_dir() / "models" / entry.name


def _modalities(entry: ModelEntry, folder: Path) -> list[str]:
    """Return the inputs of a model; those of a bundled model come from its configuration."""
    if entry.repo is None and not missing_file(folder, _MODEL_NEEDS):
        return [str(part) for part in ModelConfig.load(folder).fuser.modality.split("+")]
    return list(entry.modalities)


def _bundled(entry: ModelEntry) -> Path:
    folder = _folder(entry)
    if missing_file(folder, _MODEL_NEEDS):
        available = ", ".join(name for name, other in REGISTRY.items() if other.repo)
        raise UnavailableError(
            f"the bundled model {entry.name!r} is not part of this version yet; give one of {available}"
        )
    return folder


def _released_folder(entry: ModelEntry) -> Path:
    """Return the converted folder of a released model; one process converts it, others wait."""
    folder = _folder(entry)
    if not missing_file(folder, _MODEL_NEEDS):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with WeakFileLock(folder.parent / f"{entry.name}.lock"):
            if missing_file(folder, _MODEL_NEEDS):
                # The process with the lock is the only one: drafts are from a killed conversion.
                for draft in folder.parent.glob(f".{entry.name}.*"):
                    shutil.rmtree(draft, ignore_errors=True)
                source = fetch_release(entry)
                logger.info("converting %s into %s, once", source, folder)
                convert(source, folder, entry.sam2, entry.frames)
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(
            f"{cache_dir()}: cannot be written ({reason}); set AURALSAM2_CACHE to another folder"
        ) from error
    return folder


def _part(id_or_dir: str, base: Path | None, key: str, needs: Needs, files: list[str], remedy: str) -> Path:
    """Return the folder of a frozen part, which a bundled model's name may denote."""
    entry = REGISTRY.get(id_or_dir)
    if entry is not None and entry.repo is None:
        return checked(_bundled(entry) / key, needs, remedy)
    folder = _inside(id_or_dir, base, key)
    if is_folder(folder):
        return checked(folder, needs, remedy)
    if not HUB_ID.fullmatch(id_or_dir):
        raise UnavailableError(f"{folder}: no such folder, which the model names as its {key}; {remedy}")
    return snapshot(id_or_dir, needs, files, remedy)


def _inside(id_or_dir: str, base: Path | None, key: str) -> Path:
    """Return the folder of a part, if its name is one; a relative name must be inside the model folder `base`."""
    folder = Path(id_or_dir).expanduser()
    if base is not None and not folder.is_absolute():
        folder = (base / folder).resolve()
        if not folder.is_relative_to(base.resolve()):
            raise ConfigError(
                f"{base / CONFIG_FILE}: {key} {id_or_dir!r} leads out of the model folder; "
                "give a folder inside, an absolute path or a hub id"
            )
    return folder


def _commit(path: Path) -> str:
    """Return the commit from a path in the hub's cache, `…/snapshots/COMMIT/…`."""
    return path.parts[len(path.parts) - path.parts[::-1].index("snapshots")]


def _read_pin(path: Path, entry: ModelEntry) -> dict[str, str]:
    """Read the pin of a model; empty before its first download, or if the registry names another file."""
    if not path.is_file():
        return {}
    try:
        pin = json.loads(path.read_text(encoding="utf-8"))
        values = {key: str(pin[key]) for key in ("repo", "filename", "commit", "sha256")}
    except (ValueError, KeyError, TypeError) as error:
        raise UnavailableError(f"{path}: not a pin ({error}); delete it and run again") from error
    return values if (values["repo"], values["filename"]) == (entry.repo, entry.filename) else {}
