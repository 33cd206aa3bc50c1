"""README and documentation: commands and the README's Python run from an installed wheel; links lead somewhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from itertools import islice
from pathlib import Path

import av
import pytest

from auralsam2 import samples
from helpers.media_files import tone, write_media
from helpers.small_networks import save_small_model, save_small_text_model

REPOSITORY = Path(__file__).parents[2]
GENERATED = {REPOSITORY / "docs" / "reference" / name for name in ("cli.md", "config.md")}
"""Pages that the build of the site writes."""
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
PYTHON = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def shell_lines(document):
    """Lines of the `sh` blocks, without comments, with continued lines joined."""
    text = document.read_text(encoding="utf-8").replace("\\\n", " ")
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        yield from (line.partition("  #")[0].strip() for line in block.splitlines())


LINES = list(dict.fromkeys(line for document in DOCUMENTS for line in shell_lines(document)))
COMMANDS = [line for line in LINES if line.startswith("auralsam2 ")]
ADDRESSES = (
    "https://raw.githubusercontent.com/auralsam2/auralsam2/main/",
    "https://github.com/auralsam2/auralsam2/blob/main/",
)
# Commands that need data or models which the package does not hold: the name that the error must contain.
NEEDS = {
    "auralsam2 convert": "auralsam2_avs_v1m.pth",
    "auralsam2 data check --dataset ref-avs": "data/REFAVS",
    "auralsam2 data check --dataset v1m": "AVSBench",
    "auralsam2 data sheet": "data/stamp",
    "auralsam2 evaluate --dataset stampavs": "data/stamp",
    "auralsam2 evaluate --dataset v1m": "AVSBench",
    "auralsam2 evaluate --dataset v2": "AVSBench",
    "auralsam2 segment video.mp4 --model models/v1m": "models/v1m",
    "auralsam2 train recipes/stampavs-mini": "data/stamp",
    "auralsam2 train recipes/v2-semantic": "AVSBench",
    "auralsam2 train recipes/v1m-large-paper.yaml": "facebook/sam2-hiera-large",
}
# Commands that run for minutes, or until they are stopped: only their options are checked here.
LONG = ("auralsam2 bench speed", "auralsam2 data build-stampavs", "auralsam2 live", "auralsam2 studio")
STUDIO = "first line of the Studio"
# Further commands: short names of packaged recipes, found outside a checkout. Only the data are missing.
TRAININGS = [
    f"auralsam2 train {name} --set data.root=nowhere"
    for name in ("recipes/stampavs-mini-fuser.yaml", "stampavs-mini-gavs-words")
]


def shortened(line: str) -> str:
    """The line, with `--help` in place of the arguments of a command that computes for long."""
    return next((f"{start} --help" for start in LONG if line.startswith(start)), line)


@pytest.fixture(scope="session")
def environment(installed, tmp_path_factory):
    """Environment variables with the installed package, and small models in the cache under the released names."""
    cache = tmp_path_factory.mktemp("cache")
    save_small_model(cache / "models" / "v1m", 64)
    save_small_text_model(cache / "models" / "ref-avs", 64)
    path = os.pathsep.join([str(installed / "bin"), os.environ["PATH"]])
    return os.environ | {"PYTHONPATH": str(installed), "PATH": path, "AURALSAM2_CACHE": str(cache)}


@pytest.fixture(scope="session")
def desk(environment, tmp_path_factory):
    """A folder with `video.mp4`, two images a second of the demo, after the plain shell lines of the documentation."""
    folder = tmp_path_factory.mktemp("desk")
    with av.open(str(samples.demo_clip())) as demo:
        pictures = [frame.to_ndarray(format="rgb24") for frame in islice(demo.decode(video=0), 0, None, 10)]
    write_media(folder / "video.mp4", pictures, fps=2, sound=tone(10.0))
    script = "set -e\n" + "\n".join(line for line in LINES if line.startswith(("mkdir ", "cp ", "printf ")))
    subprocess.run(["bash", "-c", script], cwd=folder, env=environment, check=True)
    return folder


@pytest.fixture(scope="session")
def results(environment, desk, installed):
    """By line or block of code: exit code, stdout and stderr; and the first line printed by the Studio's command."""
    (studio,) = (line for line in COMMANDS if line.startswith("auralsam2 studio"))
    items = [("sh", shortened(line)) for line in COMMANDS] + [("sh", line) for line in TRAININGS]
    items += [("py", code) for code in PYTHON]
    (desk / "items.json").write_text(json.dumps(items), encoding="utf-8")
    runner = [sys.executable, Path(__file__).parents[1] / "helpers" / "readme_runner.py", "items.json", "results.json"]
    runner += [*studio.split()[1:], "--port", "0", "--no-open"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(runner, cwd=desk, env=environment, **pipes) as process:
        printed = process.stdout.readline()
        process.terminate()
        _, errors = process.communicate(timeout=60)
    assert (desk / "results.json").is_file(), errors
    found = json.loads((desk / "results.json").read_text(encoding="utf-8"))
    assert Path(found["package"]).is_relative_to(installed)
    return dict(zip([*COMMANDS, *TRAININGS, *PYTHON], found["results"], strict=True)) | {STUDIO: printed}


@pytest.mark.parametrize("line", COMMANDS)
def test_command(line, results, desk):
    code, out, err = results[line]
    needed = next((name for start, name in NEEDS.items() if line.startswith(start)), None)
    if needed is not None:
        assert code in (2, 3), err
        assert needed in err
        assert err.count("auralsam2: error: ") == 1
        return
    assert code == 0, err
    if " segment " in line:
        source = "demo" if "samples" in line else "video"
        folder = desk / ("results" if "--out results" in line else "out") / source
        assert (folder / "overlay.mp4").stat().st_size > 1000
        assert json.loads((folder / "result.json").read_text(encoding="utf-8"))["frames"]
        assert len(list((folder / "masks").glob("*.png"))) >= 10
    if line.startswith(LONG):
        options = [word for word in line.split() if word.startswith("--")]
        assert all(option in out for option in options)
    if line.startswith("auralsam2 models"):
        assert re.search(r"^v1m .*yes", out, re.MULTILINE)


def test_python_of_the_readme(results):
    (code,) = PYTHON
    exit_code, out, err = results[code]
    assert exit_code == 0, err
    frames, objects = 10, 2
    lines = out.splitlines()
    assert len(lines) == frames + frames * objects
    assert all("of the frame" in line for line in lines[:frames])


@pytest.mark.parametrize("line", TRAININGS)
def test_the_wheel_trains_by_packaged_recipes(line, results):
    """The recipes and their frozen parts are there; only the data are missing."""
    code, _, err = results[line]
    assert code in (2, 3)
    (error,) = [line for line in err.splitlines() if line.startswith("auralsam2: error: ")]
    assert "nowhere" in error


def test_the_studio_prints_its_address(results):
    assert re.search(r"http://127\.0\.0\.1:\d+/", results[STUDIO])


def test_blocks_are_found():
    assert len(COMMANDS) >= 30
    assert [line.split()[1] for line in COMMANDS[:3]] == ["demo", "segment", "studio"], "the three commands"
    starts = {line.split()[0] for line in LINES if line}
    assert starts == {"auralsam2", "pip", "make", "mkdir", "printf", "python", "apt", "git", "cd"}


def test_links_lead_somewhere():
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
            generated = (document.parent / target).resolve() in GENERATED
            assert generated or (document.parent / target).exists(), f"{document.name}: {target}"
        for address in ADDRESSES:
            for target in re.findall(re.escape(address) + r"([^)#\s]+)", text):
                assert (REPOSITORY / target).is_file(), f"{document.name}: {target}"


def test_the_index_can_show_every_link_and_picture():
    """The package index shows the README without the repository's files: a relative link leads nowhere there."""
    targets = re.findall(r"\]\(([^)]+)\)", README)
    assert [target for target in targets if not target.startswith("https://")] == []
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README)
    assert len(pictures) == 2
    assert all(picture.startswith(ADDRESSES[0]) for picture in pictures)
