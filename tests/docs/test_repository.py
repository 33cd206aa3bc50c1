"""Files about the repository: workflows, issue forms and citation are valid and agree with the package."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from auralsam2.version import __version__

REPOSITORY = Path(__file__).parents[2]
GITHUB = REPOSITORY / ".github"
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


CI = read(GITHUB / "workflows" / "ci.yml")


def test_the_workflow_has_its_jobs():
    assert set(CI["jobs"]) == {"lint", "test", "lowest", "wheel", "docs"}
    assert set(CI[True]) == {"push", "pull_request"}, "YAML 1.1 reads the key `on` as true"
    for job in CI["jobs"].values():
        assert job["steps"][0]["uses"].startswith("actions/checkout@")
        assert all(("run" in step) != ("uses" in step) for step in job["steps"])


def test_the_workflow_calls_targets_of_the_makefile():
    targets = set(re.findall(r"^([\w-]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    called = {
        target
        for job in CI["jobs"].values()
        for step in job["steps"]
        for target in re.findall(r"^make (\w+)", step.get("run", ""))
    }
    assert called == {"lint", "test", "matrix", "docs"}
    assert called <= targets


def test_the_workflow_tests_each_supported_python():
    supported = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert CI["jobs"]["test"]["strategy"]["matrix"]["python"] == supported


@pytest.mark.parametrize("name", ["bug", "feature"])
def test_issue_forms(name):
    form = read(GITHUB / "ISSUE_TEMPLATE" / f"{name}.yml")
    assert form["name"]
    assert form["description"]
    identifiers = [field["id"] for field in form["body"]]
    assert len(identifiers) == len(set(identifiers)) >= 3
    for field in form["body"]:
        assert field["type"] in ("input", "textarea", "dropdown", "checkboxes")
        assert field["attributes"]["label"]
    assert any(field.get("validations", {}).get("required") for field in form["body"])


def test_the_citation_agrees_with_the_package():
    citation = read(REPOSITORY / "CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == __version__
    assert citation["title"] == PROJECT["name"]
    assert citation["license"] == "Apache-2.0"
    assert citation["repository-code"] == PROJECT["urls"]["Repository"]
    paper = citation["preferred-citation"]
    assert paper["url"] == PROJECT["urls"]["Paper"]
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert all(f"{author['family-names']}, {author['given-names']}" in readme for author in paper["authors"])
    assert paper["title"] in readme
