"""Published figures and the table."""

from __future__ import annotations

import pytest

from auralsam2.evaluation.options import PROMPTS, EvaluationOptions
from auralsam2.evaluation.published import _tables, published_figures
from auralsam2.evaluation.run import Evaluation
from auralsam2.evaluation.tables import table_lines


def best(dataset: str, split: str, prompts: str) -> dict[str, float]:
    """The last published row of the paper's own model."""
    return [entry for entry in published_figures(dataset, split, prompts) if entry["method"].startswith("AuralSAM2")][
        -1
    ]["values"]


def test_figures_of_the_paper():
    assert best("v1s", "test", "audio") == {"M_J": 0.8662, "M_F": 0.9334}
    assert best("v1m", "test", "audio") == {"M_J": 0.7558, "M_F": 0.8412}
    assert best("v2", "test", "audio") == {"M_J": 0.7909, "M_F": 0.8684}
    assert best("v2-semantic", "test", "audio") == {"mIoU": 0.5057, "class F": 0.5603}
    assert best("ref-avs", "seen", "audio+text") == {"M_J": 0.5616, "M_F": 0.6119, "J&F": 0.5868}
    assert best("ref-avs", "test_n", "audio+text") == {"S root": 0.065}
    assert best("ref-avs", "mix", "audio+text") == {"M_J": 0.6243, "M_F": 0.6778, "J&F": 0.6511}
    assert best("v1m", "test", "audio+points+box") == {"M_J": 0.7426, "M_F": 0.8358}


def test_j_and_f_is_the_mean_of_both():
    """Of two figures with two decimals; the older rows of Table 1 were rounded to one."""
    for split in ("seen", "unseen"):
        for entry in published_figures("ref-avs", split):
            values = entry["values"]
            assert values["J&F"] == pytest.approx((values["M_J"] + values["M_F"]) / 2, abs=6e-4), entry


def test_mix_is_the_mean_of_seen_and_unseen():
    parts = [published_figures("ref-avs", split) for split in ("seen", "unseen", "mix")]
    assert len(parts[2]) == 7
    for seen, unseen, mix in zip(*parts, strict=True):
        assert seen["method"] == mix["method"]
        for name, value in mix["values"].items():
            # The older rows are rounded to one decimal.
            assert value == pytest.approx((seen["values"][name] + unseen["values"][name]) / 2, abs=6e-4), mix


def test_every_row_fits_its_columns():
    for table in _tables():
        for column in table["columns"]:
            assert column["prompts"] in PROMPTS
        for _, _, *cells in table["rows"]:
            for column, values in zip(table["columns"], cells, strict=True):
                assert values is None or len(values) == len(column["metrics"])


def test_nothing_is_published_elsewhere():
    assert published_figures("stampavs", "test-seen") == []
    assert published_figures("v1m", "val") == []


def test_the_object_release_holds_the_same_clips():
    assert published_figures("ms3", "test") == published_figures("v1m", "test") != []


def number(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.01, "high": value + 0.02, "count": 64}


def evaluation(dataset: str, split: str, numbers: dict[str, dict[str, float]], **changes: str) -> Evaluation:
    return Evaluation(
        options=EvaluationOptions(dataset=dataset, split=split, **changes),  # type: ignore[arg-type]
        model="mine",
        numbers=numbers,
        scored=64,
        excluded=({"id": "a", "error": "b"},),
        left_out=(),
        seconds={"total": 11.0, "model": 10.0},
    )


def test_a_table_beside_what_was_published():
    got = table_lines(
        evaluation("v1m", "test", {"M_J": number(0.5), "M_F": number(0.6), "boundary F with target": number(0.3)})
    )
    text = "\n".join(got)
    assert got[0] == "v1m test: 64 samples scored, 1 excluded, 0 left out of the list"
    assert "protocol auralsam2: maps of 1024 px, logit > 0, 1 sample a call; prompts audio; sound own" in got[1]
    (ours,) = [line.split() for line in got if line.startswith("mine")]
    assert ours == ["mine", "50.00", "60.00"]
    (interval,) = [line.split() for line in got if line.startswith("  95")]
    assert interval == ["95", "%", "interval", "49.00-52.00", "59.00-62.00"]
    (theirs,) = [line.split() for line in got if line.startswith("* AuralSAM2 (Hiera-l)")]
    assert theirs[-2:] == ["75.58", "84.12"]
    assert "boundary F with target    30.00  29.00-32.00" in text
    assert "published, by another program" in got[-1]
    assert "Table 2" in got[-1]
    assert "Methods were scored at different map sizes and thresholds." in got[-1]


def test_figures_of_other_prompts_are_not_shown():
    got = "\n".join(table_lines(evaluation("v1m", "test", {"M_J": number(0.5)}, prompts="box")))
    assert "68.85" in got
    assert "75.58" not in got


def test_areas_are_fractions():
    got = table_lines(
        evaluation("stampavs", "test-null", {"S": number(0.1234), "false area in silence": number(0.0021)})
    )
    assert any(line.split() == ["mine", "0.1234"] for line in got)
    assert not any("*" in line for line in got)


def test_overhead():
    assert evaluation("v1m", "test", {}).overhead == pytest.approx(0.1)
