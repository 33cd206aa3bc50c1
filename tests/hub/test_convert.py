from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Sam2VideoConfig, Sam2VideoModel

from auralsam2.config import AudioEncoderConfig, ClipConfig, FuserConfig, ModelConfig
from auralsam2.errors import ConfigError, OutputError, UsageError
from auralsam2.hub import convert as convert_module
from auralsam2.hub.convert import (
    Checkpoint,
    convert,
    fuser_shapes,
    modern_names,
    read_checkpoint,
    sam2_names,
    sort_tensors,
    write_model_folder,
)
from auralsam2.modeling.audio_encoder import AudioEncoder
from auralsam2.modeling.aural_fuser import AuralFuser
from auralsam2.modeling.sam2 import load_sam2, sam2_config, with_width
from helpers.rule_weights import GOLDEN

State = dict[str, torch.Tensor]


def golden_shapes(variant: str) -> dict[str, tuple[int, ...]]:
    """Name to shape of every tensor of a full released checkpoint, listed from the authors' public code."""
    table = json.loads(gzip.decompress((GOLDEN / f"state_dict_{variant}.json.gz").read_bytes()))
    return {name: tuple(shape) for name, (_, *shape) in table.items()}


def golden_state(variant: str) -> State:
    """A full checkpoint with the real names and shapes that takes no memory: each tensor repeats one number."""
    return {
        name: torch.tensor(float(i)).expand(shape) for i, (name, shape) in enumerate(golden_shapes(variant).items())
    }


def bare(state: State) -> State:
    """The fuser-only layout of a full checkpoint."""
    return {n.removeprefix("aural_fuser."): t for n, t in state.items() if n.startswith("aural_fuser.")}


def number(tensor: torch.Tensor) -> float:
    return float(tensor.flatten()[0])


def legacy(name: str) -> str:
    """A name of today as older exports have it, without prefix."""
    head, _, rest = name.partition(".")
    old = {
        "patch_embeds": "train_f_patch_embed",
        "fusion_modules": "train_f_a_block",
        "f_blocks": "train_f_block",
        "a_blocks": "train_a_block",
        "smooth_convs": "train_smooth",
    }.get(head)
    if old is None:
        return name
    level, _, rest = rest.partition(".")
    return f"{old}{int(level) + 1}.{rest}"


LIST_ORDER = [
    "patch_embeds.0", "patch_embeds.1", "patch_embeds.2",
    "f_blocks.0", "a_blocks.0", "fusion_modules.0",
    "f_blocks.1", "a_blocks.1", "fusion_modules.1",
    "f_blocks.2", "a_blocks.2", "fusion_modules.2",
    "smooth_convs.0", "smooth_convs.1", "train_proj_v1", "train_proj_a1", "text_proj",
]  # fmt: skip


def listed(name: str) -> str:
    """A name of today as the numbered lists of older exports have it, without prefix."""
    if name.startswith("vgg."):
        return name.replace("vgg.", "finetuning_layers.0.", 1)
    index = next(i for i, part in enumerate(LIST_ORDER) if name.startswith(f"{part}."))
    return f"training_layers.{index}{name.removeprefix(LIST_ORDER[index])}"


# --- the rules against the lists of the release -----------------------------------------------------------------------


def test_sam2_names_of_all_900_tensors() -> None:
    names = json.loads((GOLDEN / "sam2_to_transformers.json").read_text())
    assert len(names) == 900
    assert {name: list(sam2_names(name)) for name in names} == names


@pytest.mark.parametrize(("variant", "modality", "count"), [("avs", "audio", 754), ("ref", "audio+text", 752)])
def test_fuser_rule_gives_names_and_shapes_of_the_release(variant: str, modality: Any, count: int) -> None:
    expected = {
        name.removeprefix("aural_fuser."): shape
        for name, shape in golden_shapes(variant).items()
        if name.startswith("aural_fuser.")
    }
    assert len(expected) == count
    assert fuser_shapes(ModelConfig.released(modality)) == expected


@pytest.mark.parametrize(("variant", "modality"), [("avs", "audio"), ("ref", "audio+text")])
def test_full_layout_matches_modules_and_transformers(variant: str, modality: Any) -> None:
    state = golden_state(variant)
    actual = sort_tensors(state, "file")
    assert actual.modality == modality
    config = ModelConfig.released(modality)
    with torch.device("meta"):
        fuser, encoder = AuralFuser(config.fuser), AudioEncoder(config.audio_encoder)
        sam2 = Sam2VideoModel(sam2_config("large"))
    for module, tensors in ((fuser, actual.fuser), (encoder, actual.audio_encoder), (sam2, actual.sam2)):
        module.load_state_dict(tensors, assign=True)
    assert number(actual.fuser["f_blocks.2.11.attn.q.weight"]) == number(
        state["aural_fuser.f_blocks.2.11.attn.q.weight"]
    )
    assert actual.sam2 is not None
    table = actual.sam2["prompt_encoder.point_embed.weight"]
    for row in range(4):
        assert number(table[row]) == number(state[f"v_model.sam_prompt_encoder.point_embeddings.{row}.weight"])
    assert (actual.text is None) == (variant == "avs")
    assert actual.text is None or len(actual.text) == 103


# --- layouts, wrappers, older names -----------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["avs", "ref"])
def test_fuser_only_layout_has_no_sam2_and_no_text(variant: str) -> None:
    state = golden_state(variant)
    full, alone = sort_tensors(state, "file"), sort_tensors(bare(state), "file")
    assert alone.sam2 is None
    assert alone.text is None
    assert alone.modality == full.modality
    assert alone.fuser.keys() == full.fuser.keys()
    assert all(number(alone.fuser[name]) == number(full.fuser[name]) for name in full.fuser)


@pytest.mark.parametrize("wrap", [lambda s: {"model": s, "epoch": 3}, lambda s: {"state_dict": s}])
def test_wrapper_and_common_prefix_are_removed(wrap: Callable[[State], dict[str, Any]]) -> None:
    state = bare(golden_state("avs"))
    wrapped = wrap({f"module.{name}": tensor for name, tensor in state.items()})
    assert sort_tensors(wrapped, "file").fuser.keys() == sort_tensors(state, "file").fuser.keys()


def test_module_prefix_on_some_names_alone_is_an_error() -> None:
    state = bare(golden_state("avs"))
    state["module.smooth_convs.0.bias"] = state.pop("smooth_convs.0.bias")
    with pytest.raises(
        ConfigError, match=r"1 missing: smooth_convs\.0\.bias; 1 unexpected: module\.smooth_convs\.0\.bias"
    ):
        sort_tensors(state, "file")


def test_lists_of_an_audio_model_are_dropped() -> None:
    state = golden_state("avs")
    old = {n: t for n, t in state.items() if n.startswith("v_model.")}
    # The lists come first and hold other numbers, so that a wrong choice shows.
    for name in bare(state):
        old[f"audio_prompter.{listed(name)}"] = torch.tensor(-1.0).expand(golden_shapes("avs")[f"aural_fuser.{name}"])
    for name, tensor in bare(state).items():
        old[f"audio_prompter.{legacy(name)}"] = tensor
    expected, actual = sort_tensors(state, "file"), sort_tensors(old, "file")
    for part in ("fuser", "audio_encoder", "sam2"):
        want, got = getattr(expected, part), getattr(actual, part)
        assert got.keys() == want.keys()
        assert all(number(got[name]) == number(want[name]) for name in want)


@pytest.mark.parametrize("prefix", ["aural_fuser.", "audio_prompter."])
def test_numbered_lists_of_a_text_model(prefix: str) -> None:
    state = golden_state("ref")
    old = {n: t for n, t in state.items() if not n.startswith("aural_fuser.")}
    old |= {f"{prefix}{listed(name)}": tensor for name, tensor in bare(state).items()}
    old[f"{prefix}training_layers.17.weight"] = torch.zeros(3)
    expected, actual = sort_tensors(state, "file"), sort_tensors(old, "file")
    assert actual.modality == "audio+text"
    for part in ("fuser", "audio_encoder"):
        want, got = getattr(expected, part), getattr(actual, part)
        assert got.keys() == want.keys()
        assert all(number(got[name]) == number(want[name]) for name in want)


def test_first_of_duplicate_names_is_used() -> None:
    names = [
        "audio_prompter.text_proj.0.bias",
        "audio_prompter.training_layers.13.bias",
        "audio_prompter.train_smooth2.bias",
        "audio_prompter.train_smooth1.bias",
        "audio_prompter.training_layers.12.bias",
        "audio_prompter.finetuning_layers.0.features.0.bias",
        "aural_fuser.vgg.features.0.bias",
    ]
    assert modern_names(names) == {
        "audio_prompter.text_proj.0.bias": "text_proj.0.bias",
        "audio_prompter.training_layers.13.bias": "smooth_convs.1.bias",
        "audio_prompter.train_smooth1.bias": "smooth_convs.0.bias",
        "aural_fuser.vgg.features.0.bias": "vgg.features.0.bias",
    }


# --- strictness -------------------------------------------------------------------------------------------------------


def test_differences_are_named_and_counted() -> None:
    state = golden_state("avs")
    del state["v_model.obj_ptr_proj.layers.1.bias"]
    for i in range(9):
        state[f"aural_fuser.extra.{i}"] = torch.zeros(1)
    state["aural_fuser.smooth_convs.1.weight"] = torch.zeros(256, 256)
    with pytest.raises(ConfigError) as error:
        sort_tensors(state, "x.pth")
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith("x.pth: not a released AuralSAM2 checkpoint; 1 missing: ")
    assert "object_pointer_proj.layers.0.bias" in message
    assert "9 unexpected: extra.0, " in message
    assert "extra.7, …" in message
    assert "extra.8" not in message
    assert "1 wrongly shaped: smooth_convs.1.weight [256, 256] instead of [256, 256, 1, 1]" in message


@pytest.mark.parametrize(
    ("variant", "change", "complaint"),
    [
        ("avs", lambda n: None if n.startswith("v_model.") else n, "missing: v_model: "),
        ("ref", lambda n: None if n.startswith("t_model.") else n, r"103 missing: t_model\."),
        ("ref", lambda n: None if ".text_proj." in n else n, "unexpected"),
        ("avs", lambda n: n.replace("aural_fuser.patch", "patch"), r"6 unexpected: patch_embeds\.0\.weight \(without"),
        ("avs", lambda n: None if n.endswith("point_embeddings.2.weight") else n, r"point_embed\.weight \[3, 256\]"),
    ],
)
def test_incomplete_part_is_an_error(variant: str, change: Callable[[str], str | None], complaint: str) -> None:
    state = {new: tensor for name, tensor in golden_state(variant).items() if (new := change(name))}
    with pytest.raises(ConfigError, match=complaint):
        sort_tensors(state, "file")


@pytest.mark.parametrize("table", [{}, {"a": 1}, {"model": {"optimizer": {"lr": 1}}}, {"state_dict": {}}])
def test_table_of_other_values_is_an_error(table: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="not a table of tensors"):
        sort_tensors(table, "file")


# --- files ------------------------------------------------------------------------------------------------------------


class Runs:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_pickle_with_code_is_refused(tmp_path: Path, zipped: bool) -> None:
    trace, path = tmp_path / "ran", tmp_path / "x.pth"
    torch.save({"model": Runs(trace)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ConfigError, match=r"x\.pth: refused: .* could run code"):
        read_checkpoint(path)
    assert not trace.exists()
    torch.load(path, weights_only=False)
    assert trace.exists(), "the file was harmless: this test proved nothing"


@pytest.mark.parametrize("zipped", [True, False])
def test_both_formats_of_torch_are_read(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "x.pth"
    torch.save(bare(golden_state("avs")), path, _use_new_zipfile_serialization=zipped)
    assert path.stat().st_size < 2**20
    assert read_checkpoint(path).fuser.keys() == sort_tensors(bare(golden_state("avs")), "file").fuser.keys()


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.pth: cannot be read \(No such file"):
        read_checkpoint(tmp_path / "none.pth")
    with pytest.raises(UsageError, match="Is a directory"):
        read_checkpoint(tmp_path)
    path = tmp_path / "x.pth"
    for content in (b"", b"<html>404</html>"):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match="no PyTorch checkpoint"):
            read_checkpoint(path)
    torch.save([torch.zeros(1)], path)
    with pytest.raises(ConfigError, match="not a table of tensors"):
        read_checkpoint(path)
    torch.save({"a": torch.arange(1000)}, path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ConfigError, match="damaged or incomplete; download it again"):
        read_checkpoint(path)
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"\x10\0\0\0\0\0\0\0{")
    with pytest.raises(ConfigError, match="damaged or incomplete"):
        read_checkpoint(path)


# --- conversion, with the real names and narrow tensors ---------------------------------------------------------------

SMALL = {"width": 128, "inner_width": 16, "heads": 2, "visual_depths": (1, 2, 1), "token_depth": 1, "projection": 8}


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let "the released model" be a narrow one, all its names and rules unchanged."""

    def released(modality: Any = "audio", *, frames: int | None = None, **parts: Any) -> ModelConfig:
        return ModelConfig(
            text=None,
            audio_encoder=AudioEncoderConfig(channels=(2, 2, 2, 2), hidden=8, embedding=64),
            fuser=FuserConfig(modality=modality, **SMALL),
            clip=ClipConfig(frames=frames or 5),
            **parts,
        )

    def small_sam2() -> Sam2VideoConfig:
        # As many blocks as hiera-large, so that all 900 names occur.
        config = sam2_config("large", hidden_size=8, num_attention_heads=1)
        return with_width(config, 128)

    monkeypatch.setattr(ModelConfig, "released", released)
    monkeypatch.setattr(convert_module, "_sam2_config", small_sam2)


def random_fuser() -> State:
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(shape, generator=generator) if shape else torch.tensor(7)
        for name, shape in fuser_shapes(ModelConfig.released("audio")).items()
    }


def random_sam2() -> State:
    """A SAM 2 of the narrow kind under the release's names, by the golden table read backwards."""
    torch.manual_seed(0)
    tensors = Sam2VideoModel(convert_module._sam2_config()).state_dict()
    state: State = {}
    for old, new in json.loads((GOLDEN / "sam2_to_transformers.json").read_text()).items():
        table, _, row = new[0].partition("[")
        tensor = tensors[table]
        state[f"v_model.{old}"] = tensor[int(row[0])][None].clone() if row else tensor.clone()
    return state


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_convert_fuser_only(tmp_path: Path, suffix: str) -> None:
    state, source = random_fuser(), tmp_path / f"fuser{suffix}"
    save_file(state, source) if suffix == ".safetensors" else torch.save(state, source)
    folder = convert(source, tmp_path / "deep" / "model")
    assert folder == tmp_path / "deep" / "model"
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    config = ModelConfig.load(folder)
    assert config == ModelConfig.released("audio", sam2="facebook/sam2-hiera-large")

    written = load_file(folder / "model.safetensors")
    parts = {"fuser.": AuralFuser(config.fuser), "audio_encoder.": AudioEncoder(config.audio_encoder)}
    assert written.keys() == {prefix + name for prefix, module in parts.items() for name in module.state_dict()}
    for name, tensor in written.items():
        old = name.removeprefix("fuser.").replace("audio_encoder.", "vgg.")
        assert torch.equal(tensor, state[old])
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
    assert ModelConfig.load(convert(source, folder, frames=10)).clip.frames == 10


@pytest.mark.usefixtures("narrow")
def test_convert_writes_the_sam2_of_the_checkpoint(tmp_path: Path) -> None:
    trainable = random_sam2()
    assert len(trainable) == 900
    source = tmp_path / "full.pth"
    torch.save(trainable | {f"aural_fuser.{name}": tensor for name, tensor in random_fuser().items()}, source)

    folder = convert(source, tmp_path / "model")
    assert ModelConfig.load(folder).sam2 == "sam2"
    model = load_sam2(folder / "sam2")
    places = {new: tensor for old, tensor in trainable.items() for new in sam2_names(old.removeprefix("v_model."))}
    tensors = model.state_dict()
    assert tensors.keys() == {name.partition("[")[0] for name in places}
    for name, tensor in tensors.items():
        assert name not in places or torch.equal(tensor, places[name]), name
    assert torch.equal(
        model.prompt_encoder.point_embed.weight[3], trainable["v_model.sam_prompt_encoder.point_embeddings.3.weight"][0]
    )

    # With a SAM 2 named by the user it is not written twice.
    folder = convert(source, tmp_path / "model", sam2=str(folder / "sam2"))
    config = ModelConfig.load(folder)
    assert not (folder / "sam2").exists()
    assert Path(config.sam2).is_absolute()


@pytest.mark.usefixtures("narrow")
def test_half_precision_is_written_as_float32(tmp_path: Path) -> None:
    half = torch.randn(3, 4).bfloat16()
    shared = torch.randn(100)
    write_model_folder(Checkpoint(fuser={"a": half, "b": shared[:4]}, audio_encoder={"c": shared[2:8]}), tmp_path / "m")
    written = load_file(tmp_path / "m" / "model.safetensors")
    assert torch.equal(written["fuser.a"], half.float())
    assert torch.equal(written["audio_encoder.c"], shared[2:8])
    assert (tmp_path / "m" / "model.safetensors").stat().st_size < 1000


@pytest.mark.usefixtures("narrow")
def test_only_a_model_folder_is_replaced(tmp_path: Path) -> None:
    first, second = (Checkpoint(fuser={"a": torch.full((2,), value)}, audio_encoder={}) for value in (1.0, 2.0))
    folder = tmp_path / "model"
    folder.mkdir()
    write_model_folder(first, folder)
    write_model_folder(second, folder)
    assert number(load_file(folder / "model.safetensors")["fuser.a"]) == 2.0

    (folder / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"holds notes\.txt, which is no part of a model"):
        write_model_folder(first, folder)
    assert (folder / "notes.txt").read_text() == "mine"

    stranger = tmp_path / "stranger"
    stranger.mkdir()
    (stranger / "config.json").write_text('{"model_type": "sam2"}')
    with pytest.raises(UsageError, match="give a new or empty folder"):
        write_model_folder(first, stranger)
    with pytest.raises(UsageError, match="a file is in the way"):
        write_model_folder(first, stranger / "config.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "stranger"]


@pytest.mark.usefixtures("narrow")
def test_failed_write_keeps_the_earlier_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "model"
    write_model_folder(Checkpoint(fuser={"a": torch.ones(2)}, audio_encoder={}), folder)

    def full_disk(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(convert_module, "save_weights", full_disk)
    with pytest.raises(OutputError, match="No space left on device"):
        write_model_folder(Checkpoint(fuser={"a": torch.zeros(2)}, audio_encoder={}), folder)
    assert number(load_file(folder / "model.safetensors")["fuser.a"]) == 1.0
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("sam2", ["nothing", "../x/y", "a/b/c"])
def test_sam2_must_be_a_folder_or_a_hub_id(tmp_path: Path, sam2: str) -> None:
    with pytest.raises(UsageError, match="give such a folder or a hub id"):
        write_model_folder(Checkpoint(fuser={"a": torch.ones(2)}, audio_encoder={}), tmp_path / "model", sam2=sam2)
    assert not list(tmp_path.iterdir())
