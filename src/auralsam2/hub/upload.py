"""Upload of model folders to the Hugging Face hub, with a model card."""

from __future__ import annotations

from pathlib import Path
from string import Template

from huggingface_hub import HfApi

from auralsam2.config import ModelConfig
from auralsam2.errors import UnavailableError, UsageError
from auralsam2.hub.access import endpoint
from auralsam2.hub.convert import HUB_ID
from auralsam2.hub.registry import REGISTRY
from auralsam2.hub.snapshots import DOWNLOAD_ERRORS, hub_reason

CARD_FILE = "README.md"
_TEMPLATE = Path(__file__).with_name("model_card.md")


def push_folder(
    folder: Path,
    repo_id: str,
    *,
    private: bool | None = None,
    token: str | bool | None = None,
    revision: str | None = None,
    commit_message: str | None = None,
    create_pr: bool = False,
) -> str:
    """Upload a model folder; a folder without `README.md` gets a model card from the template.

    Args:
        folder: a model folder.
        repo_id: `owner/name`; the repository is created if missing.
        private: of a created repository; None for the default of the owner.
        token: access token; None for the stored one or `HF_TOKEN`.
        revision: branch; None for `main`.
        commit_message: None for "Upload model".
        create_pr: open a pull request in place of a commit to the branch.

    Returns:
        address of the commit.

    Raises:
        UsageError: `repo_id` is not a hub id, or a part of the model is a folder outside of it.
        ConfigError: the configuration is damaged.
        UnavailableError: the hub cannot be reached or refuses the upload.
    """
    if HUB_ID.fullmatch(repo_id) is None or "@" in repo_id:
        raise UsageError(f"`repo_id={repo_id}`: give OWNER/NAME")
    config = ModelConfig.load(folder)
    for key, name in (("sam2", config.sam2), ("text", config.text)):
        if name is None or _inside(folder, name) or name in REGISTRY or HUB_ID.fullmatch(name):
            continue
        raise UsageError(f"{key} of the model is {name}, which the hub does not have: convert it with a hub id")
    if not (folder / CARD_FILE).exists():
        (folder / CARD_FILE).write_text(model_card(config, repo_id), encoding="utf-8")
    api = HfApi(endpoint=endpoint(), token=token, library_name="auralsam2")
    try:
        api.create_repo(repo_id, private=private, exist_ok=True)
        if revision is not None and not create_pr:
            api.create_branch(repo_id, branch=revision, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            revision=revision,
            commit_message=commit_message or "Upload model",
            create_pr=create_pr,
        )
    except DOWNLOAD_ERRORS as error:
        url = f"{endpoint() or 'https://huggingface.co'}/{repo_id}"
        raise UnavailableError(
            f"{url}: the upload failed ({hub_reason(error)}); check `repo_id` and `token`, or run: hf auth login"
        ) from error
    return str(commit)


def model_card(config: ModelConfig, repo_id: str) -> str:
    """Fill the template of a model card.

    Args:
        config: configuration of the model.
        repo_id: `owner/name`.
    """
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        licence="other",
        name=repo_id.partition("/")[2],
        repo=repo_id,
        method=config.method,
        modality=config.fuser.modality.replace("+", ", "),
        sam2=config.sam2,
        size=config.image_size or "default",
        text=config.text or "none",
        frames=config.clip.frames,
    )


def _inside(folder: Path, name: str) -> bool:
    """Return whether a part is a folder of the model folder."""
    return not Path(name).is_absolute() and (folder / name).is_dir()
