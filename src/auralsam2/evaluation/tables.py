"""Text table of scores with intervals, beside published figures."""

from __future__ import annotations

from typing import Any

from auralsam2.evaluation.published import FRACTIONS, published_figures
from auralsam2.evaluation.run import Evaluation

HEADLINE = ("M_J", "M_F", "J&F", "S", "S root")
_CAVEAT = "published, by another program: read beside ours only under the same protocol"


def table_lines(evaluation: Evaluation) -> list[str]:
    """Return the lines of the table."""
    options, rules = evaluation.options, evaluation.options.rules
    threshold = "logit > 0" if rules.threshold is None else f"probability > {rules.threshold:g}"
    call = "frame by frame" if rules.call is None else f"{rules.call} sample{'s' * (rules.call > 1)} a call"
    lines = [
        f"{options.dataset} {options.split}: {evaluation.scored} samples scored, {len(evaluation.excluded)} excluded, "
        f"{len(evaluation.left_out)} left out of the list",
        f"protocol {rules.name}: maps of {rules.size} px, {threshold}, {call}; prompts {options.prompts}; "
        f"sound {options.sound}; select {options.select}",
        "",
    ]
    others = published_figures(options.dataset, options.split, options.prompts)
    lines += _comparison(evaluation, others)
    rest = [name for name in evaluation.numbers if name not in HEADLINE]
    width = max(map(len, rest), default=0)
    lines += [
        "",
        f"{'beyond, over frames':{width}}  {'value':>7}  95 % interval",
        *(_beyond(evaluation, n, width) for n in rest),
    ]
    if others:
        sources = dict.fromkeys((entry["source"], entry["note"]) for entry in others)
        lines += ["", *(f"* {_CAVEAT}; {source}: {note}" for source, note in sources)]
    return lines


def _comparison(evaluation: Evaluation, others: list[dict[str, Any]]) -> list[str]:
    """Return a row for the model and for each published method, with a column for each headline score."""
    ours = evaluation.numbers
    names = [name for name in HEADLINE if name in ours]
    names += [name for name in dict.fromkeys(n for entry in others for n in entry["values"]) if name not in names]
    rows = [("method", *names)]
    rows.append((evaluation.model, *(_cell(name, ours[name]["value"]) if name in ours else "-" for name in names)))
    rows.append(("  95 % interval", *(_interval(name, ours[name]) if name in ours else "" for name in names)))
    for entry in others:
        values = entry["values"]
        label = f"* {entry['method']} ({entry['backbone']})"
        rows.append((label, *(_cell(name, values[name]) if name in values else "-" for name in names)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _beyond(evaluation: Evaluation, name: str, width: int) -> str:
    number = evaluation.numbers[name]
    return f"{name:{width}}  {_cell(name, number['value']):>7}  {_interval(name, number)}".rstrip()


def _cell(name: str, value: float) -> str:
    """Format a percentage, as in the papers; areas and S as fractions."""
    return f"{value:.4f}" if name in FRACTIONS or name.startswith("false area") else f"{100 * value:.2f}"


def _interval(name: str, number: dict[str, Any]) -> str:
    return f"{_cell(name, number['low'])}-{_cell(name, number['high'])}" if "low" in number else ""
