"""The command for the paper's tables, with small data sets and models."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import yaml

import ablations
import evaluation_tables
import tables
from auralsam2.data.class_names import STAMPAVS
from auralsam2.evaluation.options import PROTOCOLS, EvaluationOptions
from auralsam2.modeling.audio_encoder import AudioEncoder
from auralsam2.modeling.object_namer import ObjectNamer
from auralsam2.semantics.mask2former import GuidedMask2Former
from auralsam2.semantics.second_stage import SecondStage
from helpers.dataset_trees import AVSBENCH, REF_AVS, write_avsbench, write_ref_avs, write_stampavs
from helpers.small_networks import save_small_model, save_small_text_model
from helpers.small_second_stage import small_mask2former, small_stage
from helpers.small_training import SCENES, values, write_parts
from helpers.small_zero_shot import save_small_pipeline


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run the command with a temporary folder for reports and document; returns exit code and document.

    Masks are compared at 64 x 64 pixels, the size of the small models.
    """
    for name, protocol in PROTOCOLS.items():
        monkeypatch.setitem(PROTOCOLS, name, dataclasses.replace(protocol, size=64))

    def run(root: Path, numbers: str, *options: str) -> tuple[int, str]:
        document = tmp_path / "results.md"
        marks = [f"<!-- begin table-{number} -->\n<!-- end table-{number} -->\n" for number in numbers.split(",")]
        document.write_text("".join(marks))
        paths = ["--out", str(tmp_path / "out"), "--ablations", str(tmp_path / "trained"), "--write", str(document)]
        command = ["tables", "--root", str(root), "--table", numbers, "--timed", "1", *paths, *options]
        monkeypatch.setattr("sys.argv", command)
        return tables.main(), document.read_text()

    return run


def splits(*names: str, count: int = 2) -> tuple[tuple[str, str, str, str, int], ...]:
    return tuple((f"{split}_0000{n}", split, "standard", "single", 3) for split in names for n in range(count))


def test_stampavs_is_evaluated_once_beside_published_figures(call, tmp_path: Path, monkeypatch):
    scenes = (*splits("test-seen"), *splits("test-unseen", "val", count=1))
    root = write_stampavs(tmp_path / "stamp", scenes)
    model = save_small_model(tmp_path / "model", frames=3)
    numbers = "2,6,7,combine"
    code, text = call(root, numbers, "--model", f"ours={model}")
    assert code == 0
    assert "GAVS" not in text, "rows without a model are left out"
    assert "| stampavs test-unseen | AuralSAM2 |" in text
    assert "test-new-image" not in text, "splits without data are left out"
    assert "paper, v1m/test: M_J" in text
    assert "| 0.7204 | 0.8146 |" in text, "the paper's figures"
    assert "| 0.7426 | 0.8358 | 14.1 |" in text
    assert text.count("AuralSAM2, all at once") == 2, "in Table 7 and in `combine`"

    def evaluate_again(*_: object, **__: object) -> None:
        raise AssertionError("evaluated twice")

    monkeypatch.setattr("runs.evaluate", evaluate_again)
    assert call(root, numbers, "--model", f"ours={model}")[0] == 0


def test_avsbench_has_the_available_splits_and_rows(call, tmp_path: Path, capsys):
    root = write_avsbench(tmp_path / "avsbench", [row for row in AVSBENCH if row[0] != "v2"])
    model = save_small_model(tmp_path / "model")
    code, text = call(root, "1,3,4", "--clips", "1", "--model", f"levels-2={model}")
    assert code == 0
    assert "| v1s test | audio, 2 levels |" in text
    assert "| v1m test | audio, 2 levels |" in text
    assert "| 0.8596 | 0.9297 | 0.8947 |" in text
    messages = capsys.readouterr().err
    assert "table 1 is left out: none of its splits is in" in messages
    assert "table 4 is left out: none of its models is given" in messages


def test_ref_avs_with_text(call, tmp_path: Path):
    root = write_ref_avs(tmp_path / "ref", [row for row in REF_AVS if row[2].startswith("test")])
    model = save_small_text_model(tmp_path / "model")
    code, text = call(root, "1,fig3", "--clips", "1", "--model", f"words={model}")
    assert code == 0
    assert "| ref-avs test_s | AuralSAM2 |" in text
    assert "| 0.5316 | 0.5883 | 0.5600 | - |" in text
    assert "| ref-avs test_s | AuralSAM2, Hiera-l | - | - | - | - | - | 0.5616 | 0.6119 | 0.5868 | - |" in text
    assert "published figures alone: AuralSAM2, Hiera-l (--model words-large=MODEL)." in text
    assert "Published figures: J, F in percent. The rows ReferFormer" in text
    for prompts, published in (
        ("audio", "0.4724 | 0.5573"),
        ("text", "0.5295 | 0.5885"),
        ("audio, text", "0.5616 | 0.6119"),
    ):
        row = next(line for line in text.splitlines() if f"| AuralSAM2 | {prompts} |" in line)
        assert row.endswith(f"| {published} |")
    # Table 1: Mix has the means of seen and unseen.
    lines = [line.split(" | ") for line in text.splitlines() if "| AuralSAM2 | 0" in line]
    rows = {cells[0].removeprefix("| "): cells for cells in lines}
    assert set(rows) == {"ref-avs test_s", "ref-avs test_u", "ref-avs mix", "ref-avs test_n"}
    for column in (2, 3, 4):
        parts = [float(rows[name][column].split()[0]) for name in ("ref-avs test_s", "ref-avs test_u")]
        assert float(rows["ref-avs mix"][column].split()[0]) == pytest.approx(sum(parts) / 2, abs=1e-3)
    assert rows["ref-avs mix"][-4:-1] == ["0.5831", "0.6464", "0.6148"]
    # S with a root, as the paper's, although the protocol has the ratio of the released code.
    (report,) = (tmp_path / "out" / "words").glob("ref-avs.test_n.*.json")
    numbers = json.loads(report.read_text())["summary"]
    assert numbers["S root"]["value"] >= numbers["S"]["value"]
    assert rows["ref-avs test_n"][5].startswith(f"{numbers['S root']['value']:.3f}")
    assert "0.1290" in rows["ref-avs test_n"][-1]


def test_semantic_column(call, tmp_path: Path, capsys):
    root = write_avsbench(tmp_path / "avsbench")
    model = save_small_model(tmp_path / "model")
    options = ("--clips", "1", "--model", f"ours={model}")
    assert "v2-semantic" not in call(root, "2", *options)[1]
    assert "v2-semantic is left out: give --namer DIR" in capsys.readouterr().err
    width = json.loads((model / "sam2" / "config.json").read_text())["vision_config"]["fpn_hidden_size"]
    ObjectNamer(("dog", "guitar"), width, 8).save(tmp_path / "namer")
    code, text = call(root, "2", *options, "--namer", str(tmp_path / "namer"))
    assert code == 0
    row = next(line for line in text.splitlines() if line.startswith("| v2-semantic test | AuralSAM2 |"))
    cells = row.strip("| ").split(" | ")
    (report,) = (tmp_path / "out" / "ours").glob("v2-semantic.test.*.json")
    numbers = json.loads(report.read_text())["summary"]
    assert cells[5:7] == [f"{numbers[name]['value']:.3f}" for name in ("mIoU", "class F")]
    assert cells[-2:] == ["0.5023", "0.5516"]


def test_semantic_rows_of_stampavs(call, tmp_path: Path):
    """The namer of the model's folder, and a second stage."""
    root = write_stampavs(tmp_path / "stamp", splits("test-seen", count=1))
    model = save_small_model(tmp_path / "model", frames=3)
    width = json.loads((model / "sam2" / "config.json").read_text())["vision_config"]["fpn_hidden_size"]
    ObjectNamer(("dog", "violin"), width, 8).save(model / "namer")
    stage = GuidedMask2Former.from_stock(small_mask2former(), small_stage(names=STAMPAVS))
    SecondStage(stage, AudioEncoder(stage.stage.audio_encoder)).save(tmp_path / "stage")
    code, text = call(root, "2", "--model", f"ours={model}", "--second-stage", str(tmp_path / "stage"))
    assert code == 0
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| stampavs")]
    assert [cells[:2] for cells in rows] == [
        ["stampavs test-seen", "AuralSAM2"],
        ["stampavs test-seen", "AuralSAM2, Hiera-l"],
        ["stampavs-semantic test-seen", "AuralSAM2"],
        ["stampavs-semantic test-seen", "AuralSAM2, second stage"],
        ["stampavs-semantic test-seen", "AuralSAM2, Hiera-l"],
    ]
    assert rows[0][2:5] == rows[2][2:5] == rows[3][2:5], "the same masks"
    for cells, name in ((rows[2], ""), (rows[3], ".second-stage")):
        report = tmp_path / "out" / "ours" / f"stampavs-semantic.test-seen.audio.own{name}.json"
        numbers = json.loads(report.read_text())["summary"]
        scores = ("mIoU", "class F", "mIoU without background")
        assert cells[5:8] == [f"{numbers[score]['value']:.3f}" for score in scores]
    assert rows[3][-2:] == ["0.5023", "0.5516"]
    assert "AuralSAM2, second stage" not in call(root, "2", "--model", f"ours={model}")[1]


def test_stampavs_trains_the_rows_of_ablations(call, tmp_path: Path, monkeypatch):
    write_parts(tmp_path, (*SCENES, *splits("test-seen")))
    recipe = tmp_path / ablations.read_tables()["prompts"].recipe
    recipe.write_text(yaml.safe_dump(values(tmp_path, max_steps=1, accumulate=1, validate_every=1)))
    monkeypatch.setattr(ablations, "RECIPES", tmp_path)
    code, text = call(tmp_path / "stamp", "4", "--clips", "1")
    assert code == 0
    assert "paper, v1m/test: M_J" in text
    row = next(line for line in text.splitlines() if line.startswith("| audio, 3 levels |"))
    assert row.endswith("| 0.7558 | 0.8412 | 0.7985 |"), "the row of the full model"
    assert (tmp_path / "trained" / recipe.stem / "no-dense-prompts/seed0/best").is_dir()


def test_zero_shot_pipeline_has_a_row(call, tmp_path: Path):
    root = write_stampavs(tmp_path / "stamp", splits("test-seen"))
    model = save_small_model(tmp_path / "model", frames=3)
    pipeline = save_small_pipeline(tmp_path / "pipeline")
    code, text = call(root, "2", "--clips", "1", "--model", f"ours={model}", f"zero-shot={pipeline}")
    assert code == 0
    row = next(line for line in text.splitlines() if "| zero-shot pipeline |" in line)
    assert row.endswith("| 0.4860 | 0.5350 | - | - |")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--table", "8"], "--table 8: choose from 1, 2, 3, 4, 5, 6, 7, fig3, combine, fusion"),
        (["--table", "2", "--model", "mine=mini"], "--model mine=mini: give KEY=MODEL, with a key of"),
        (["--table", "2", "--model", "ours=nowhere"], "no model 'nowhere'"),
        (["--root", "nowhere"], "--root nowhere: no such folder"),
        (["--table", "2", "--model", "zero-shot=roles.yaml"], "give ours=MODEL too, whose SAM 2 it takes"),
    ],
)
def test_invalid_options_are_refused(options: list[str], message: str, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["tables", "--root", str(tmp_path), *options])
    with pytest.raises(SystemExit) as stopped:
        tables.main()
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_rows_have_valid_evaluation_options():
    for table in evaluation_tables.read_tables().values():
        for split in table.splits:
            for row in table.rows:
                dataset, name = split.names
                options = EvaluationOptions(
                    dataset=dataset, split=name, prompts=row.prompts_on(split), combine=row.combine
                )
                assert options.combine == evaluation_tables.JOINT or options.visual
        assert table.reference is None or table.reference in table.rows


def test_every_figure_of_the_paper_has_its_row():
    """Published figures are found by name; a misspelt name would give a dash."""
    for number, table in evaluation_tables.read_tables().items():
        for split in table.splits:
            for row in split.rows(table):
                values = evaluation_tables.published_values(table, split, row)
                printed = number != "combine" and row.paper is not None
                if split.split == "v2-semantic/test":
                    printed = row.paper not in ("GAVS on SAM 2", "SAMA-AVS on SAM 2")
                assert bool(values) == printed, (number, split, row)
    for table in ablations.read_tables().values():
        if table.paper is not None:
            assert {table.names.get(row, row) for row in table.rows} == ablations.published_rows(table).keys()
