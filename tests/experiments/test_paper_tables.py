"""The paper's tables by command: on toy data sets, with toy models."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml

import ablations
import evaluated
import tables
from auralsam2.evaluation.options import PROTOCOLS, EvaluationOptions
from helpers.dataset_trees import AVSBENCH, REF_AVS, write_avsbench, write_ref_avs, write_stampavs
from helpers.small_networks import save_small_model, save_small_text_model
from helpers.small_training import SCENES, values, write_parts
from helpers.small_zero_shot import save_small_roles


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The command, with reports and a document in a folder of its own; returns exit code and document.

    Masks are compared at 64 x 64 pixels, the size of the toy models.
    """
    for name, protocol in PROTOCOLS.items():
        monkeypatch.setitem(PROTOCOLS, name, dataclasses.replace(protocol, size=64))

    def run(root: Path, numbers: str, *more: str) -> tuple[int, str]:
        document = tmp_path / "results.md"
        marks = [f"<!-- begin table-{number} -->\n<!-- end table-{number} -->\n" for number in numbers.split(",")]
        document.write_text("".join(marks))
        places = ["--out", str(tmp_path / "out"), "--ablations", str(tmp_path / "trained"), "--write", str(document)]
        given = ["tables", "--root", str(root), "--table", numbers, "--timed", "1", *places, *more]
        monkeypatch.setattr("sys.argv", given)
        return tables.main(), document.read_text()

    return run


def splits(*names: str) -> tuple[tuple[str, str, str, str, int], ...]:
    return tuple((f"{split}_0000{n}", split, "standard", "single", 3) for split in names for n in (0, 1))


def test_stampavs_beside_what_was_published_and_evaluated_once(call, tmp_path: Path, monkeypatch):
    root = write_stampavs(tmp_path / "stamp", splits("test-seen", "test-unseen", "val"))
    model = save_small_model(tmp_path / "model", frames=3)
    asked = "2,6,7,combine"
    code, text = call(root, asked, "--model", f"ours={model}")
    assert code == 0
    assert "GAVS" not in text, "a model that was not given has no rows"
    assert "| stampavs test-unseen | AuralSAM2 |" in text
    assert "test-new-image" not in text, "nor has a split that is not there"
    assert "paper, v1m/test: M_J" in text
    assert "| 0.7204 | 0.8146 |" in text, "the paper's own figures stand beside"
    assert "| 0.7426 | 0.8358 | 14.1 |" in text
    assert text.count("AuralSAM2, all at once") == 2, "of Table 7 and of the ways to combine"

    def again(*_: object, **__: object) -> None:
        raise AssertionError("evaluated twice")

    monkeypatch.setattr("runs.evaluate", again)
    assert call(root, asked, "--model", f"ours={model}")[0] == 0


def test_avsbench_takes_the_splits_and_rows_that_are_there(call, tmp_path: Path, capsys):
    root = write_avsbench(tmp_path / "avsbench", [row for row in AVSBENCH if row[0] != "v2"])
    model = save_small_model(tmp_path / "model")
    code, text = call(root, "1,3,4", "--clips", "1", "--model", f"levels-2={model}")
    assert code == 0
    assert "| v1s test | audio, 2 levels |" in text
    assert "| v1m test | audio, 2 levels |" in text
    assert "| 0.8596 | 0.9297 | 0.8947 |" in text
    said = capsys.readouterr().err
    assert "table 1 is left out: none of its splits is in" in said
    assert "table 4 is left out: none of its models is given" in said


def test_ref_avs_reads(call, tmp_path: Path):
    root = write_ref_avs(tmp_path / "ref", [row for row in REF_AVS if row[2] == "test_s"])
    model = save_small_text_model(tmp_path / "model")
    code, text = call(root, "1,fig3", "--clips", "1", "--model", f"words={model}")
    assert code == 0
    assert "| ref-avs test_s | AuralSAM2 |" in text
    assert "| 0.5316 | 0.5883 | 0.5600 |" in text
    for prompts, theirs in (
        ("audio", "0.4724 | 0.5573"),
        ("text", "0.5295 | 0.5885"),
        ("audio, text", "0.5616 | 0.6119"),
    ):
        row = next(line for line in text.splitlines() if f"| AuralSAM2 | {prompts} |" in line)
        assert row.endswith(f"| {theirs} |")


def test_on_stampavs_the_rows_of_ablations_are_trained(call, tmp_path: Path, monkeypatch):
    write_parts(tmp_path, (*SCENES, *splits("test-seen")))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(values(tmp_path, max_steps=1, accumulate=1, validate_every=1)))
    monkeypatch.setattr(tables, "RECIPE", recipe)
    code, text = call(tmp_path / "stamp", "4", "--clips", "1")
    assert code == 0
    assert "paper, v1m/test: M_J" in text
    row = next(line for line in text.splitlines() if line.startswith("| audio, 3 levels |"))
    assert row.endswith("| 0.7558 | 0.8412 | 0.7985 |"), "the paper's whole model"
    assert (tmp_path / "trained/no-dense-prompts/seed0/best").is_dir()


def test_the_zero_shot_pipeline_has_its_row(call, tmp_path: Path):
    root = write_stampavs(tmp_path / "stamp", splits("test-seen"))
    model = save_small_model(tmp_path / "model", frames=3)
    roles = save_small_roles(tmp_path / "roles")
    code, text = call(root, "2", "--clips", "1", "--model", f"ours={model}", f"zero-shot={roles}")
    assert code == 0
    row = next(line for line in text.splitlines() if "| zero-shot pipeline |" in line)
    assert row.endswith("| 0.4860 | 0.5350 |")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--table", "8"], "--table 8: choose from 1, 2, 3, 4, 5, 6, 7, fig3, combine, fusion"),
        (["--table", "2", "--model", "mine=mini"], "--model mine=mini: give KEY=MODEL, with a key of"),
        (["--table", "2", "--model", "ours=nowhere"], "no model 'nowhere'"),
        (["--root", "nowhere"], "--root nowhere: no such folder"),
        (["--table", "2", "--model", "zero-shot=roles.yaml"], "give ours=MODEL too, whose SAM 2 it takes"),
    ],
)
def test_what_cannot_be_is_told(more: list[str], said: str, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["tables", "--root", str(tmp_path), *more])
    with pytest.raises(SystemExit) as stopped:
        tables.main()
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err


def test_each_row_is_an_evaluation_that_is_possible():
    for chosen in evaluated.defined().values():
        for place in chosen.places:
            for row in chosen.rows:
                dataset, split = place.names
                options = EvaluationOptions(dataset=dataset, split=split, prompts=row.told(place), combine=row.combine)
                assert options.combine == evaluated.JOINT or options.visual
        assert chosen.less is None or chosen.less in chosen.rows


def test_every_figure_of_the_paper_has_its_row():
    """Rows are found by names: a slip would show as a dash."""
    for number, chosen in evaluated.defined().items():
        for place in chosen.places:
            for row in chosen.rows:
                found = evaluated._published(chosen, place, row)
                assert bool(found) == (number != "combine" and row.paper is not None), (number, place, row)
    for table in ablations.known_tables().values():
        if table.paper is not None:
            theirs = ablations._published(table)
            assert {table.names.get(row, row) for row in table.rows} == theirs.keys()
