"""Runs of a few steps: resumption, trained weights, output files and learning."""

from __future__ import annotations

import json
import signal
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from auralsam2.errors import ConfigError, UsageError
from auralsam2.modeling.sam2 import load_sam2
from helpers.photograph_sources import write_sources
from helpers.small_networks import small_sam2
from projects.mini import train_sam2
from projects.mini.sam2_model import BACKBONE, memory_parts, mini_sam2
from projects.mini.stage_loop import CHECKPOINT, FIGURES, LOG, read_log
from projects.mini.train_sam2 import PHASES, PromptRecipe, PromptStage

SIZE = 64
States = dict[tuple[int, int], dict[str, torch.Tensor]]


class KilledError(Exception):
    """Raised to stop a run."""


def record_states(patch: pytest.MonkeyPatch) -> States:
    """Record all tensors, including the backbone's, at each checkpoint, by phase and step."""
    states: States = {}
    save = PromptStage.save

    def recording(self: PromptStage) -> None:
        save(self)
        assert not any(module.training for module in self.network.modules())
        tensors = self.network.sam2.state_dict() | self.network.heads()
        states[self.phase, self.step] = {name: value.clone() for name, value in tensors.items()}

    patch.setattr(PromptStage, "save", recording)
    return states


def kill_after(patch: pytest.MonkeyPatch, phase: int, step: int) -> None:
    """Stop a run after a step and before its checkpoint."""
    train_step = PromptStage.train_step

    def dying(self: PromptStage, rate: float) -> None:
        train_step(self, rate)
        if (self.phase, self.step) == (phase, step):
            raise KilledError

    patch.setattr(PromptStage, "train_step", dying)


def write(recipe: PromptRecipe, path: Path) -> Path:
    path.write_text(json.dumps(asdict(recipe)), encoding="utf-8")
    return path


def rows(recipe: PromptRecipe) -> list[dict[str, str]]:
    """Return the rows of the log without times."""
    return [row | {"seconds": ""} for row in read_log(Path(recipe.out) / LOG)]


def differing(actual: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> set[str]:
    assert actual.keys() == expected.keys()
    return {name for name, value in actual.items() if not torch.equal(value, expected[name])}


def assert_same(states: States, complete: States) -> None:
    assert max(states) == max(complete) == (3, 0)
    for moment, state in states.items():
        assert not differing(state, complete[moment]), moment


@pytest.fixture(scope="module")
def complete(short: PromptRecipe) -> States:
    """States of an uninterrupted run."""
    with pytest.MonkeyPatch.context() as patch:
        states = record_states(patch)
        PromptStage(short).run()
    return states


@pytest.mark.parametrize("phase", range(len(PHASES)), ids=PHASES)
def test_resumed_run_equals_an_uninterrupted_run(phase, recipe, short, complete, monkeypatch):
    with monkeypatch.context() as patch:
        kill_after(patch, phase, 2)
        with pytest.raises(KilledError):
            PromptStage(recipe).run()
    assert len(rows(recipe)) == 3 * phase + 2
    states = record_states(monkeypatch)
    PromptStage(recipe, resume=True).run()
    assert min(states) == (phase + 1, 0)
    assert_same(states, complete)
    assert rows(recipe) == rows(short)
    for name in (FIGURES, "model/model.safetensors", "model/config.json"):
        assert (Path(recipe.out) / name).read_bytes() == (Path(short.out) / name).read_bytes()


def test_killed_process_is_resumed(recipe, short, complete, fork, tmp_path, monkeypatch):
    """The process is killed while it writes the maps of the last step of the memory phase."""
    path = write(recipe, tmp_path / "recipe.yaml")
    code = """
        import os, signal, sys
        from projects.mini import sam2_data, train_sam2
        made = sam2_data.backbone_maps
        def dying(model, pixels):
            if (sys._getframe(2).f_locals.get("step"), len(pixels)) == (2, 3 * sam2_data.CHUNK):
                os.kill(os.getpid(), signal.SIGKILL)
            return made(model, pixels)
        sam2_data.backbone_maps = dying
        train_sam2.main(sys.argv[1:])
    """
    process = fork("-c", "\n".join(line[8:] for line in code.splitlines()), path)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert rows(recipe) == rows(short)[:8]
    states = record_states(monkeypatch)
    assert train_sam2.main([str(path), "--resume"]) == 0
    assert_same(states, complete)
    assert rows(recipe) == rows(short)


def test_checkpoint_needs_resume(short, complete, tmp_path, capsys):
    with pytest.raises(UsageError, match="--resume"):
        PromptStage(short)
    assert train_sam2.main([str(write(short, tmp_path / "recipe.yaml"))]) == UsageError.exit_code
    assert "holds a checkpoint" in capsys.readouterr().err
    assert len(rows(short)) == 9


def test_backbone_is_frozen(complete):
    first = mini_sam2(None, SIZE).state_dict()
    backbone = {name for name in first if name.startswith(BACKBONE)}
    assert any(name.endswith("running_var") for name in backbone)
    for moment, state in complete.items():
        assert all(torch.equal(state[name], first[name]) for name in backbone), moment


def test_memory_phase_trains_the_memory_alone(complete):
    sam2 = mini_sam2(None, SIZE)
    own = {id(part) for part in memory_parts(sam2) if isinstance(part, torch.nn.Parameter)}
    own |= {id(w) for part in memory_parts(sam2) if isinstance(part, torch.nn.Module) for w in part.parameters()}
    memory = {name for name, weight in sam2.named_parameters() if id(weight) in own}
    changed = differing(complete[2, 0], complete[3, 0])
    assert changed <= memory
    assert {"memory_encoder", "memory_attention", "memory_temporal_positional_encoding", "object_pointer_proj"} <= {
        name.split(".")[0] for name in changed
    }
    for phase in (0, 1):
        changed = differing(complete[phase, 2], complete[phase + 1, 0])
        assert {"mask_head.weight", "class_head.weight", "mask_decoder.mask_tokens.weight"} <= changed
        assert not changed & memory


@pytest.mark.parametrize("resume", [False, True])
def test_image_and_prompts_share_a_position_code(recipe, short, complete, resume):
    """With different codes, the decoder ignores its prompts."""
    network = PromptStage(short if resume else recipe, resume=resume).network
    code = network.sam2.get_image_wide_positional_embeddings()
    assert torch.equal(network.decoder.position, code.flatten(2).transpose(1, 2)[:, None])


def test_files_of_a_run(short, complete):
    out = Path(short.out)
    names = {"checkpoint.pt", "figures.json", "log.csv", "model", "buffer-prompts", "buffer-finer", "buffer-memory"}
    assert {path.name for path in out.iterdir()} == names
    model = load_sam2(out / train_sam2.MODEL)
    assert model.config.image_size == SIZE
    for name, value in model.state_dict().items():
        assert torch.equal(value.half(), complete[3, 0][name].half()), name
    table = rows(short)
    assert [(row["phase"], row["step"]) for row in table] == [(p, str(s)) for p in PHASES for s in range(1, 4)]
    assert all(bool(row["box"]) == (int(row["step"]) > 1) for row in table)
    assert all(bool(row["followed"]) == (bool(row["box"]) and row["phase"] == "memory") for row in table)
    figures = json.loads((out / FIGURES).read_text(encoding="utf-8"))
    assert all(0 <= figures[name] <= 1 for name in ("box", "point", "filled", "followed", "stayed"))


def test_loss_falls_within_a_few_steps(recipe):
    """The same eight clips again and again, each time with other prompts."""
    none = replace(recipe.finer, steps=0)
    phase = replace(recipe.prompts, steps=24, balanced_steps=24, rate=3e-3, warm_up=4, clips=8, refresh_every=99)
    recipe = replace(recipe, prompts=phase, finer=none, memory=none, log_every=8, save_every=24, test_every=24)
    PromptStage(recipe).run()
    table = rows(recipe)
    losses = [float(row["loss"]) for row in table]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.8 * losses[0]
    assert float(table[-1]["mask_iou"]) > float(table[0]["mask_iou"]) + 0.1


def test_recipe_is_read_with_changes(short, tmp_path):
    path = write(short, tmp_path / "recipe.yaml")
    assert PromptRecipe.load(path) == short
    assert PromptRecipe.load(path, ["memory.steps=7", "seed=3"]) == replace(
        short, seed=3, memory=replace(short.memory, steps=7)
    )
    for change, message in (
        ("prompts.prompts=3", "prompts must be even"),
        ("finer.capacity=12", "capacity 12 must be a multiple of 8"),
        ("log_every=3", "save_every 2 must be a multiple of log_every 3"),
    ):
        with pytest.raises(ConfigError, match=message):
            PromptRecipe.load(path, [change])


def test_other_file_is_no_checkpoint(recipe):
    Path(recipe.out).mkdir()
    (Path(recipe.out) / CHECKPOINT).write_bytes(b"something else")
    with pytest.raises(ConfigError, match="not a checkpoint of this training"):
        PromptStage(recipe, resume=True)


def test_run_continues_from_a_model_with_photographs(recipe, short, complete, tmp_path):
    start = Path(short.out) / "model"
    no_steps = replace(short.prompts, steps=0)
    settings = {"start": str(start), "photographs": str(write_sources(tmp_path / "sources")), "prompts": no_steps}
    continued = replace(recipe, **settings, finer=replace(short.prompts, steps=1), memory=no_steps)
    stage = PromptStage(continued)
    assert not differing(stage.build_network(None).sam2.state_dict(), load_sam2(start, SIZE).state_dict())
    stage.run()
    assert json.loads((Path(continued.out) / FIGURES).read_text())["photo_objects"] == 1
    changed = differing(
        load_sam2(Path(continued.out) / "model", SIZE).state_dict(), load_sam2(start, SIZE).state_dict()
    )
    assert any(name.startswith("vision_encoder.neck") for name in changed)
    assert not any(name.startswith(BACKBONE) for name in changed)
    other = tmp_path / "small"
    small_sam2(64, width=128).save_pretrained(other)
    with pytest.raises(ConfigError, match="omit start"):
        PromptStage(replace(continued, out=str(tmp_path / "other"), start=str(other)))
