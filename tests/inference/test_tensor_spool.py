"""The spool keeps its bound, and what it takes in comes out again."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from auralsam2.errors import OutputError
from auralsam2.inference.feature_cache import TensorSpool

DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.uint8, torch.int64, torch.bool)


def tensor(dtype: torch.dtype, *shape: int, seed: int = 0) -> torch.Tensor:
    """Any bits that the type can have, NaNs of floats included."""
    generator = torch.Generator().manual_seed(seed)
    if dtype == torch.bool:
        return torch.rand(shape, generator=generator) > 0.5
    width = torch.tensor([], dtype=dtype).element_size()
    return torch.randint(0, 256, (*shape[:-1], shape[-1] * width), dtype=torch.uint8, generator=generator).view(dtype)


def bits(value: torch.Tensor) -> bytes:
    return value.contiguous().view(torch.uint8).numpy().tobytes()


def file_size(spool: TensorSpool) -> int:
    return 0 if spool._file is None else os.fstat(spool._file.fileno()).st_size


@pytest.mark.parametrize("limit", [0, 1 << 20], ids=["spilled", "in memory"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_entries_come_back_bit_by_bit(dtype: torch.dtype, limit: int) -> None:
    entry = {"first": tensor(dtype, 2, 3, 4), "second": tensor(dtype, 5, seed=1), "other": tensor(torch.uint8, 7, 1)}
    with TensorSpool(limit) as spool:
        spool.put("other entry", {"x": tensor(torch.uint8, 3)})
        spool.put("entry", entry)
        assert (spool.in_memory == 0) == (limit == 0)
        for _ in range(2):
            back = spool.get("entry")
            assert list(back) == list(entry)
            for name, value in entry.items():
                assert (back[name].dtype, back[name].shape) == (value.dtype, value.shape)
                assert bits(back[name]) == bits(value)


def test_views_that_are_not_contiguous_are_spilled_in_order() -> None:
    whole = torch.arange(24).reshape(4, 6)
    with TensorSpool(0) as spool:
        spool.put("view", {"view": whole.T[1:5:2]})
        assert torch.equal(spool.get("view")["view"], whole.T[1:5:2])


def test_what_was_read_may_be_changed() -> None:
    with TensorSpool(0) as spool:
        spool.put("entry", {"x": torch.zeros(4)})
        spool.get("entry")["x"].add_(1)
        assert torch.equal(spool.get("entry")["x"], torch.zeros(4))


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["put", "drop", "get"]), st.integers(0, 7), st.sampled_from([1, 16, 100, 400])),
    max_size=60,
)


@settings(deadline=None, max_examples=60)
@given(ACTIONS, st.sampled_from([0, 100, 500, 5000]))
def test_any_course_keeps_the_bound_and_the_entries(actions: list[tuple[str, int, int]], limit: int) -> None:
    expected: dict[int, torch.Tensor] = {}
    with TensorSpool(limit) as spool:
        for number, (action, key, size) in enumerate(actions):
            if action == "put":
                expected[key] = tensor(torch.uint8, size, seed=number)
                spool.put(key, {"x": expected[key]})
            elif action == "drop":
                expected.pop(key, None)
                spool.drop(key)
            elif key in expected:
                assert torch.equal(spool.get(key)["x"], expected[key])
            else:
                with pytest.raises(KeyError):
                    spool.get(key)
            assert spool.in_memory <= limit
            assert len(spool) == len(expected)
        for key, value in expected.items():
            assert torch.equal(spool.get(key)["x"], value)


def test_space_is_used_again() -> None:
    """A stream of frames, three kinds of entries each, of which ten frames are held at a time."""
    kinds = {"features": 1000, "prompts": 300, "picture": 77}
    sizes = []
    with TensorSpool(0) as spool:
        for index in range(200):
            for kind, size in kinds.items():
                spool.put((kind, index), {"x": tensor(torch.uint8, size, seed=index)})
                spool.drop((kind, index - 10))
            spool.get(("picture", index))
            sizes.append(file_size(spool))
        assert torch.equal(spool.get(("features", 195))["x"], tensor(torch.uint8, 1000, seed=195))
    assert sizes[-1] == sizes[15] <= 11 * sum(kinds.values())


def test_memory_is_used_again() -> None:
    with TensorSpool(100) as spool:
        for index in range(50):
            spool.put(index, {"x": tensor(torch.uint8, 60)})
            spool.drop(index)
            assert spool.in_memory == 0
        assert spool._file is None, "nothing had to be spilled"


def test_closing_removes_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with TensorSpool(10) as spool:
        spool.put(0, {"x": tensor(torch.uint8, 10)})
        spool.put(1, {"x": tensor(torch.uint8, 10)})
        file = spool._file
        assert file is not None
        assert not list(tmp_path.iterdir()), "the file has a name, and would stay behind a killed process"
    assert file.closed
    assert len(spool) == spool.in_memory == 0


class FullDisk:
    """A file to which nothing can be written."""

    def seek(self, offset: int) -> int:
        return offset

    def write(self, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        pass


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: FullDisk())
    with TensorSpool(100) as spool:
        spool.put("kept", {"x": tensor(torch.uint8, 100)})
        with pytest.raises(OutputError, match=f"{tmp_path}.*No space left.*TMPDIR") as caught:
            spool.put("too much", {"x": tensor(torch.uint8, 1)})
        assert "\n" not in str(caught.value)
        assert len(spool) == 1, "an entry that was not written must not be there"
        with pytest.raises(KeyError):
            spool.get("too much")


def test_no_folder_for_temporary_files_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    with TensorSpool(0) as spool, pytest.raises(OutputError, match="missing"):
        spool.put("entry", {"x": torch.zeros(1)})


def test_the_order_of_dimensions_is_kept() -> None:
    """Kernels choose by it, and round differently."""
    image = torch.rand(1, 3, 4, 5).to(memory_format=torch.channels_last)
    turned = image[0].permute(1, 2, 0)
    with TensorSpool(0) as spool:
        spool.put(0, {"x": image, "turned": turned, "one": torch.tensor(True)})
        entry = spool.get(0)
    assert torch.equal(entry["x"], image)
    assert entry["x"].is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(entry["turned"], turned)
    assert entry["turned"].stride() == turned.stride()
    assert bool(entry["one"]) is True


def test_an_entry_does_not_hold_the_batch_that_it_was_cut_from() -> None:
    batch = torch.rand(8, 3, 4, 5).to(memory_format=torch.channels_last)
    with TensorSpool(batch.nbytes) as spool:
        spool.put(0, {"x": batch[2:3], "whole": batch})
        spool.put(1, {"x": batch[2:3]})
        assert torch.equal(spool.get(1)["x"], batch[2:3])
        assert spool.get(1)["x"].stride() == batch[2:3].stride()
        assert spool.get(1)["x"].untyped_storage().nbytes() == batch[2:3].nbytes == spool.in_memory
