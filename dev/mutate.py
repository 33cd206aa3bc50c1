"""Check that fast tests find deliberate errors: `python dev/mutate.py [NAME ...]`.

Each mutation replaces one piece of text in a copy of the repository and runs the tests that must then fail. Before
that, the same tests must pass on the unchanged copy. The exit code is 1 if a mutation survives.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
PACKAGE = "src/auralsam2"
FAILED = 1
"""Exit code of pytest if tests fail; others mean that it could not run them."""


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """A deliberate error.

    Attributes:
        name: of the mutation.
        file: changed file, relative to the repository.
        old: text, which occurs once.
        new: its replacement.
        test: test file that must fail.
        select: expression for the option `-k` of pytest.
    """

    name: str
    file: str
    old: str
    new: str
    test: str
    select: str


_PINNED = "tests/training/test_pinned_numbers.py"
_STEP = """\
            decoded.logits[supervised],
            decoded.ious[supervised],
            decoded.object_score[supervised],
            labels,
"""
MUTATIONS = (
    Mutation(
        name="temperature of the contrastive loss",
        file=f"{PACKAGE}/training/config.py",
        old="temperature: float = 0.1",
        new="temperature: float = 0.2",
        test=_PINNED,
        select="temperature",
    ),
    Mutation(
        name="dropout of the fuser",
        file=f"{PACKAGE}/config.py",
        old="dropout: float = bounded_field(0.1, 0, 1)",
        new="dropout: float = bounded_field(0.0, 0, 1)",
        test=_PINNED,
        select="dropout",
    ),
    Mutation(
        name="pool of V2",
        file="recipes/parts/v2.yaml",
        old="dataset: v2,",
        new="dataset: v1s+v1m,",
        test="tests/training/test_recipe_pools.py",
        select="once and v2-large-paper",
    ),
    Mutation(
        name="mask losses of frames without labels",
        file=f"{PACKAGE}/training/lightning_module.py",
        old=_STEP,
        new=_STEP.replace("[supervised]", "").replace("            labels,\n", "            clip.labels,\n"),
        test=_PINNED,
        select="without_labels and losses",
    ),
    Mutation(
        name="contrast of frames without labels",
        file=f"{PACKAGE}/training/lightning_module.py",
        old="others = self.other_losses(clip, fused, decoded, labels, supervised)",
        new="others = self.other_losses(clip, fused, decoded, clip.labels, list(range(len(clip.labels))))",
        test=_PINNED,
        select="without_labels and contrast",
    ),
    Mutation(
        name="contrast of later frames",
        file=f"{PACKAGE}/training/lightning_module.py",
        old='if config.frames == "first":',
        new='if config.frames == "none":',
        test=_PINNED,
        select="first_labelled",
    ),
    Mutation(
        name="exponent of the learning rate",
        file=f"{PACKAGE}/training/optimiser.py",
        old="POWER = 0.9",
        new="POWER = 1.0",
        test="tests/training/test_optimiser.py",
        select="rates_over",
    ),
    Mutation(
        name="weight of the focal loss",
        file=f"{PACKAGE}/training/config.py",
        old="focal: float = 20.0",
        new="focal: float = 10.0",
        test="tests/training/test_mask_losses.py",
        select="released_loss",
    ),
    Mutation(
        name="validation on the first clips",
        file=f"{PACKAGE}/training/dataset.py",
        old="samples[number * len(samples) // count]",
        new="samples[number]",
        test="tests/training/test_recipe_pools.py",
        select="spread",
    ),
    Mutation(
        name="a given mask is decoded",
        file=f"{PACKAGE}/modeling/prompt_encoder.py",
        old="return self.mask if self.logits is None and self.box is None and not len(self.points) else None",
        new="return None",
        test="tests/inference/test_stock_parity.py",
        select="propagated and forward",
    ),
    Mutation(
        name="binary memory on every frame",
        file=f"{PACKAGE}/inference/tracker.py",
        old="binary=prompts is not None or visual is not None,",
        new="binary=True,",
        test="tests/inference/test_clip_tracking.py",
        select="binary",
    ),
    Mutation(
        name="number of points",
        file=f"{PACKAGE}/evaluation/options.py",
        old="POINTS = 4",
        new="POINTS = 1",
        test="tests/evaluation/test_options.py",
        select="four_points",
    ),
    Mutation(
        name="S as a ratio",
        file=f"{PACKAGE}/evaluation/options.py",
        old='name="ref-avs", size=256, threshold=0.4, call=4, null="root"',
        new='name="ref-avs", size=256, threshold=0.4, call=4, null="ratio"',
        test="tests/evaluation/test_aggregate.py",
        select="protocol_of_a_data_set",
    ),
    Mutation(
        name="guide of later decoder layers",
        file=f"{PACKAGE}/semantics/guidance.py",
        old="        self.guidance.first = False\n        return masks, attention",
        new="        return masks, attention",
        test="tests/semantics/test_guided_mask2former.py",
        select="first_layer_alone",
    ),
    Mutation(
        name="audio of the repeated frame of V1S",
        file=f"{PACKAGE}/training/semantic_clips.py",
        old="seconds = list(range(len(frames))) if repeated else frames",
        new="seconds = frames",
        test="tests/training/test_semantic_training.py",
        select="first_frame_of_v1s",
    ),
    Mutation(
        name="stochastic depth of a frozen backbone",
        file=f"{PACKAGE}/training/semantic_run.py",
        old="return network.train()",
        new="return network",
        test="tests/training/test_semantic_training.py",
        select="mode_of_the_backbone",
    ),
    Mutation(
        name="classes of StampAVS that no label has",
        file=f"{PACKAGE}/evaluation/aggregate.py",
        old="present = torch.ones_like(self._present) if published else self._present",
        new="present = torch.ones_like(self._present)",
        test="tests/evaluation/test_aggregate.py",
        select="classes_of_stampavs",
    ),
    Mutation(
        name="similarity of a source over a pause",
        file=f"{PACKAGE}/inference/separation.py",
        old="MIN_SIMILARITY = 0.75",
        new="MIN_SIMILARITY = 0.9",
        test="tests/inference/test_separation.py",
        select="partial_masks",
    ),
)


def copy_repository(folder: Path) -> None:
    """Copy the tracked files of the working tree and new ones that git does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        source, target = REPOSITORY / name, folder / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def run_tests(folder: Path, tests: Iterable[str], select: str) -> int:
    """Return the exit code of pytest for some tests of the copy."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-n", "0"]
    command += [*tests, "-k", select]
    environment = os.environ | {"PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode not in (0, FAILED):
        raise SystemExit(
            f"{', '.join(tests)}: pytest ended with code {done.returncode}:\n{done.stdout.decode()[-2000:]}"
        )
    return done.returncode


def survives(folder: Path, mutation: Mutation) -> bool:
    """Return whether the tests pass with a mutation.

    Raises:
        SystemExit: the text does not occur once.
    """
    file = folder / mutation.file
    text = file.read_text(encoding="utf-8")
    if text.count(mutation.old) != 1:
        raise SystemExit(f"{mutation.file}: {text.count(mutation.old)} times {mutation.old!r}, not once")
    file.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
    try:
        return run_tests(folder, [mutation.test], mutation.select) == 0
    finally:
        file.write_text(text, encoding="utf-8")


def main() -> int:
    """Run the mutations; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="mutations to run; default: all")
    names = parser.parse_args().names
    if unknown := sorted(set(names) - {mutation.name for mutation in MUTATIONS}):
        parser.error(f"no mutation {unknown[0]!r}")
    chosen = [mutation for mutation in MUTATIONS if not names or mutation.name in names]
    survivors = 0
    with tempfile.TemporaryDirectory(prefix="auralsam2-mutate-") as temporary:
        folder = Path(temporary)
        copy_repository(folder)
        tests = sorted({mutation.test for mutation in chosen})
        if run_tests(folder, tests, " or ".join(f"({mutation.select})" for mutation in chosen)):
            raise SystemExit("a test fails without a mutation: see `make test`")
        for mutation in chosen:
            start = time.perf_counter()
            survived = survives(folder, mutation)
            survivors += survived
            verdict = "SURVIVED" if survived else "found"
            print(f"{mutation.name}: {verdict} by {mutation.test} ({time.perf_counter() - start:.0f} s)", flush=True)
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
