"""The wheel: metadata, licences, recipes and examples, and that they are found by name outside a checkout."""

from __future__ import annotations

import email
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from auralsam2 import samples
from auralsam2.errors import ConfigError, UnavailableError, UsageError
from auralsam2.hub import download
from auralsam2.training.recipe import TrainingRecipe

REPOSITORY = Path(__file__).parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RECIPES = REPOSITORY / "recipes"


@pytest.fixture(scope="session")
def metadata(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


def elsewhere(installed, folder, *arguments):
    """Run the installed package in a folder outside the checkout."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_wheel_holds_types_recipes_and_examples(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert "auralsam2/py.typed" in names
    for folder, pattern in (("recipes", "*.yaml"), ("examples", "*.py")):
        files = {f"auralsam2/{path.relative_to(REPOSITORY)}" for path in (REPOSITORY / folder).rglob(pattern)}
        assert files
        assert files <= names


def test_licence_expression_and_files(metadata, wheel):
    assert metadata["License-Expression"] == "Apache-2.0 AND GPL-2.0-only"
    listed = metadata.get_all("License-File")
    licences = {"LICENSE", "GPL-2.txt", "LICENCE.md", "demo-licence.md", "demo-photograph-licence.md"}
    assert {Path(name).name for name in listed} == licences
    with zipfile.ZipFile(wheel) as archive:
        (folder,) = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name}
        for name in listed:
            assert archive.read(f"{folder}/licenses/{name}") == (REPOSITORY / name).read_bytes()


def test_addresses_and_authors(metadata):
    urls = dict(line.split(", ") for line in metadata.get_all("Project-URL"))
    assert set(urls) == {"Homepage", "Repository", "Documentation", "Issues", "Paper"}
    assert all(
        url.startswith("https://github.com/auralsam2/auralsam2") for name, url in urls.items() if name != "Paper"
    )
    assert metadata["Author"] == "The auralsam2 developers"


def test_every_dependency_has_a_lower_bound():
    extras = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
    for line in PROJECT["dependencies"] + extras:
        assert ">=" in line or line.startswith("auralsam2["), line


def test_the_python_versions_are_named():
    versions = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert versions == ["3.11", "3.12", "3.13", "3.14"]
    assert PROJECT["requires-python"] == f">={versions[0]}"


@pytest.mark.parametrize("name", ["recipes/v1m-large-paper.yaml", "v1m-large-paper", "v1m-large-paper.yaml"])
def test_a_packaged_recipe_is_found_by_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert samples.find_recipe(Path(name)).read_bytes() == (RECIPES / "v1m-large-paper.yaml").read_bytes()
    assert TrainingRecipe.load(Path(name)) == TrainingRecipe.load(RECIPES / "v1m-large-paper.yaml")


def test_a_file_of_the_user_comes_before_a_packaged_recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "recipes" / "v1m-large-paper.yaml"
    own.parent.mkdir()
    own.write_text("model: {sam2: there}\ndata: {dataset: v1s, root: mine}\n", encoding="utf-8")
    assert TrainingRecipe.load(Path("recipes/v1m-large-paper.yaml")).data.root == "mine"


def test_a_copy_of_a_packaged_recipe_finds_its_layers(tmp_path):
    copy = tmp_path / "mine.yaml"
    copy.write_bytes(samples.find("v1m-large-paper").read_bytes())
    assert TrainingRecipe.load(copy) == TrainingRecipe.load(RECIPES / "v1m-large-paper.yaml")


def test_a_recipe_may_start_from_a_packaged_one(tmp_path):
    (tmp_path / "mine.yaml").write_text("base: [v1m-large-paper]\ntrainer: {seed: 7}\n", encoding="utf-8")
    recipe = TrainingRecipe.load(tmp_path / "mine.yaml")
    assert recipe.trainer.seed == 7
    assert recipe.data == TrainingRecipe.load(RECIPES / "v1m-large-paper.yaml").data


@pytest.mark.parametrize(
    ("name", "suggested"),
    [
        ("v1m-large", "recipes/v1m-large-paper.yaml"),
        ("recipes/none.yaml", "recipes/"),
        ("interactive", "recipes/"),
        ("demo.mp4", "recipes/"),
        ("/none.yaml", "recipes/"),
    ],
)
def test_an_unknown_recipe_is_refused_with_similar_names(name, suggested, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        TrainingRecipe.load(Path(name))
    message = str(caught.value)
    assert message.startswith(f"{name}: no such file")
    assert f"such as {suggested}" in message
    similar = re.findall(r"recipes/([\w-]+\.yaml)", message.partition("such as")[2])
    recipes = {path.name for path in RECIPES.glob("*.yaml")}
    assert 1 <= len(similar) <= 3
    assert recipes.issuperset(similar)
    assert message.endswith(f"(auralsam2 samples --list prints all {len(recipes)})")


@pytest.mark.parametrize("name", ["a" * 300, "a" * 300 + "/b.yaml", "nul\0.yaml"])
def test_a_name_that_no_file_can_have_is_refused(name, tmp_path):
    for path in (Path(name), tmp_path / name):
        with pytest.raises(UsageError, match="no such file"):
            samples.find_recipe(path)


def test_every_name_leads_to_a_file():
    names = samples.names()
    assert names[0] == "demo.mp4"
    assert "recipes/zero-shot/avsbench.yaml" in names
    assert len(set(names)) == len(names)
    for name in names:
        short = name.partition("/")[2] or name
        for form in (name, short, short.rpartition(".")[0]):
            assert samples.find(form).is_file()
            assert samples.find(form) == samples.find(name)


def test_the_command_prints_paths(command):
    assert command("samples").out == f"{samples.demo_clip()}\n"
    assert Path(command("samples", "interactive").out.rstrip()).samefile(samples.find("examples/interactive.py"))
    assert command("samples", "--list").out.splitlines() == list(samples.names())
    refused = command("samples", "none")
    assert refused.code == 2
    assert "'none'" in refused.error
    assert "demo.mp4" in refused.error


def test_the_wheel_finds_its_files_outside_a_checkout(installed, tmp_path):
    shown = elsewhere(installed, tmp_path, "-m", "auralsam2", "samples", "recipes/v1m-large-paper.yaml")
    assert shown.stdout.strip() == str(installed / "auralsam2" / "recipes" / "v1m-large-paper.yaml")
    listed = elsewhere(installed, tmp_path, "-m", "auralsam2", "samples", "--list")
    assert listed.stdout.splitlines() == list(samples.names())
    helped = elsewhere(installed, tmp_path, samples.find("interactive"), "--help")
    assert helped.returncode == 0, helped.stderr


def test_no_recipe_names_a_file_of_the_checkout():
    for path in RECIPES.rglob("*.yaml"):
        assert "src/" not in path.read_text(encoding="utf-8"), path


def test_a_bundled_model_stands_for_its_parts(tmp_path, monkeypatch):
    """From any directory, and from any model folder that names it."""
    (tmp_path / "mini").mkdir()
    monkeypatch.chdir(tmp_path)
    for base in (None, tmp_path):
        assert download.fetch_sam2("mini", base) == download.BUNDLED / "mini" / "sam2"
        assert download.fetch_text("mini", base) == download.BUNDLED / "mini" / "text"
    with pytest.raises((ConfigError, UnavailableError)):
        download.fetch_sam2("midi", tmp_path)
