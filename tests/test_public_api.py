"""The public surface: what is in it changes only on purpose."""

from __future__ import annotations

import inspect

import pytest

import auralsam2


def signature(thing: object) -> str:
    """The signature with sets in a fixed order, which Python's own text of them has not."""
    called = inspect.signature(thing)  # type: ignore[arg-type]
    parameters = []
    for parameter in called.parameters.values():
        if isinstance(parameter.default, frozenset):
            parameter = parameter.replace(default=tuple(sorted(parameter.default)))
        parameters.append(parameter)
    return str(called.replace(parameters=parameters))


def public(kind: type) -> list[str]:
    """The public methods and properties that a class defines itself, with `__iter__` and the like."""
    dunders = {"__iter__", "__enter__", "__exit__"}
    return sorted(name for name in vars(kind) if not name.startswith("_") or name in dunders)


CREATED_BY_MODEL = {"LiveSegmentation", "VideoSegmentation", "VideoSession"}
"""Classes whose constructors are private: `AuralSAM2.live`, `AuralSAM2.segment` and `AuralSAM2.open` create them."""


def surface() -> str:
    lines = []
    for name in sorted(auralsam2.__all__):
        thing = getattr(auralsam2, name)
        if isinstance(thing, str):
            lines.append(name)
            continue
        lines.append(name if name in CREATED_BY_MODEL else f"{name}{signature(thing)}")
        for member in public(thing) if inspect.isclass(thing) else ():
            value = getattr(thing, member)
            described = signature(value) if callable(value) else ""
            lines.append(f"  .{member}{described}")
    return "\n".join(lines) + "\n"


def test_names_and_signatures_are_pinned(pin):
    pin("public_api.txt", surface())


def test_everything_named_is_there():
    assert dir(auralsam2) == sorted(auralsam2.__all__)
    for name in auralsam2.__all__:
        assert getattr(auralsam2, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = auralsam2.nothing


def test_import_is_light(start):
    code = "import sys, auralsam2; print('torch' in sys.modules); auralsam2.load; print('torch' in sys.modules)"
    out, err = start("-c", code).communicate(timeout=300)
    assert out.split() == ["False", "True"], err


def test_python_as_the_readme_has_it(small_model, tmp_path):
    from helpers.media_files import write_clip

    model = auralsam2.load(small_model, device="auto")
    result = model.segment(write_clip(tmp_path / "dog.mp4"), text=None)
    folder = result.save(tmp_path / "out", overlay=True)
    assert folder == tmp_path / "out" / "dog"
    assert {path.name for path in folder.iterdir()} == {"overlay.mp4", "masks", "result.json"}
    folder = model.segment(tmp_path / "dog.mp4").save(tmp_path / "without", overlay=False)
    assert {path.name for path in folder.iterdir()} == {"masks", "result.json"}
    frames = list(model.segment(str(tmp_path / "dog.mp4")))
    assert [(frame.index, frame.time) for frame in frames] == [(0, 0.5), (1, 1.5)]
    assert frames[0].mask.shape == (48, 64)
    assert frames[0].mask.dtype == bool
