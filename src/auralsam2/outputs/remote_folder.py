"""Results on an object store or another remote file system, by the addresses of `fsspec`."""

from __future__ import annotations

import posixpath
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auralsam2.errors import AuralError, OutputError
from auralsam2.outputs.formats import OUTPUT_FILES
from auralsam2.outputs.result_folder import is_complete


@dataclass(frozen=True, kw_only=True)
class RemoteFolder:
    """Parent of result folders on a remote file system.

    A result is complete when its `result.json` is there: it is removed before other files of a result are replaced, and
    written after them. There are no locks: of two runs that write one result at the same time, the later one wins.

    Attributes:
        uri: address such as `s3://bucket/results`.
    """

    uri: str

    def address(self, name: str) -> str:
        """Return the address of a file or folder."""
        return posixpath.join(self.uri, name)

    def check(self) -> None:
        """Check that the file system is known and can be reached.

        Raises:
            OutputError: it cannot.
        """
        with self._opened() as (system, path):
            system.exists(path)

    def is_complete(self, name: str, request: str, save: Collection[str]) -> bool:
        """Return whether a result is complete; see `result_folder.is_complete`.

        Raises:
            OutputError: the file system cannot be read.
        """
        with self._opened(name) as (system, path), tempfile.TemporaryDirectory(prefix="auralsam2-") as folder:
            system.invalidate_cache(path)  # another run may have written since the last listing
            files = [posixpath.relpath(found, path) for found in system.find(path)]
            if OUTPUT_FILES["json"] not in files:
                return False
            local = Path(folder)
            system.get_file(posixpath.join(path, OUTPUT_FILES["json"]), str(local / OUTPUT_FILES["json"]))
            return is_complete(local, request, save, files=files)

    def publish(self, folder: Path, name: str) -> None:
        """Copy a local result folder, `result.json` last.

        Files of an earlier result that the new one lacks are removed where both have the same format.

        Raises:
            OutputError: a file cannot be written.
        """
        record = OUTPUT_FILES["json"]
        files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        files = [file for file in files if not file.startswith(".") and file != record]
        with self._opened(name) as (system, path):
            earlier = {posixpath.relpath(found, path) for found in system.find(path)}
            replaced = {file.partition("/")[0] for file in files}
            stale = sorted(file for file in earlier if file.partition("/")[0] in replaced and file not in files)
            for file in [record] * (record in earlier) + stale:
                system.rm_file(posixpath.join(path, file))
            for parent in sorted({posixpath.dirname(posixpath.join(path, file)) for file in [*files, record]}):
                system.makedirs(parent, exist_ok=True)
            system.put([str(folder / file) for file in files], [posixpath.join(path, file) for file in files])
            if (folder / record).is_file():
                system.put_file(str(folder / record), posixpath.join(path, record))

    def put(self, file: Path) -> None:
        """Copy a local file into the parent folder.

        Raises:
            OutputError: it cannot be written.
        """
        with self._opened(file.name) as (system, path):
            system.makedirs(posixpath.dirname(path), exist_ok=True)
            system.put_file(str(file), path)

    @contextmanager
    def fetched(self, name: str) -> Iterator[Path]:
        """Provide a local copy of a file.

        Raises:
            OutputError: it cannot be read.
        """
        with tempfile.TemporaryDirectory(prefix="auralsam2-") as folder:
            copy = Path(folder) / posixpath.basename(name)
            with self._opened(name) as (system, path):
                system.get_file(path, str(copy))
            yield copy

    @contextmanager
    def _opened(self, name: str = "") -> Iterator[tuple[Any, str]]:
        """Yield the file system and a path on it; its errors become errors for the user."""
        address = self.address(name) if name else self.uri
        try:
            import fsspec

            yield fsspec.core.url_to_fs(address)
        except AuralError:
            raise
        except Exception as error:  # fsspec raises errors of many libraries
            reason = " ".join(str(error).split()) or type(error).__name__
            raise OutputError(
                f"{address}: cannot be written or read ({reason}): check the address and your rights"
            ) from error
