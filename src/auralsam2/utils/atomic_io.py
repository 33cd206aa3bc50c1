"""Atomic output: results appear complete or not at all."""

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from auralsam2.errors import DiskFullError, OutputError

_log = logging.getLogger(__name__)

_LOCK = ".auralsam2.lock"
_LOCK_SECONDS = 0.2  # in which a lock file that another run is just removing can be made anew
_ATTEMPTS = 10  # at a folder that another run removes, because it is empty, while this one locks it
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL}  # some network file systems have no locks
_PREFIX, _SUFFIX = ".auralsam2-", ".part"
_NAME = re.compile(re.escape(_PREFIX) + r"[a-z0-9_]{8}" + re.escape(_SUFFIX))

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT}
_REMEDIES = {
    errno.ENOSPC: "free some space or choose another `out`",
    errno.EDQUOT: "free some space or choose another `out`",
    errno.EACCES: "check its permissions or choose another `out`",
    errno.EPERM: "check its permissions or choose another `out`",
    errno.EEXIST: "move what is in the way or choose another `out`",
    errno.ENOTDIR: "move what is in the way or choose another `out`",
    errno.EISDIR: "move what is in the way or choose another `out`",
}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Convert an OSError while a path is written to an error for the user.

    Raises:
        DiskFullError: the disk is full.
        OutputError: any other OSError inside; names the path, the reason and the remedy.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        remedy = _REMEDIES.get(error.errno or 0, "choose another `out`")
        kind = DiskFullError if error.errno in _DISK_FULL else OutputError
        raise kind(f"{path}: cannot be written ({reason}): {remedy}") from error


def write_file(path: Path, content: bytes) -> None:
    """Write a file beside its path, then rename it, so that the path always has the old content or the new one.

    Raises:
        OutputError: the file cannot be written.
    """
    part = path.with_name(f".{path.name}{_SUFFIX}")
    with writing(path):
        part.write_bytes(content)
        part.replace(path)


@contextmanager
def claim(folder: Path) -> Iterator[bool]:
    """Create a folder of results, if missing, and lock it against other runs; yield False if another run has locked it.

    The lock is a hidden file in the folder. It is removed at the end, with the folders created for it that are still
    empty. The lock ends with its process, however that ends; the file of a killed process has no effect. A thread may
    claim a folder again.

    Raises:
        OutputError: the folder cannot be created or written.
    """
    lock = FileLock(folder / _LOCK, timeout=_LOCK_SECONDS, is_singleton=True)
    again = lock.is_locked
    with ExitStack() as stack:
        with writing(folder):
            held = _acquire(folder, lock, stack)
        try:
            yield held
        finally:
            if held:
                if not again:
                    # A process that waits for this file finds it removed and creates a new one.
                    with suppress(OSError):
                        (folder / _LOCK).unlink(missing_ok=True)
                lock.release()


def _acquire(folder: Path, lock: FileLock, stack: ExitStack) -> bool:
    """Create a folder and take its lock; the stack gets the removal of each created folder, where still empty."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            for path in reversed((folder, *folder.parents)):
                if not path.is_dir():
                    path.mkdir(exist_ok=True)
                    stack.callback(_remove_if_empty, path)
            lock.acquire()
        except Timeout:
            return False
        except OSError as error:
            if error.errno in _NO_LOCKS:
                _log.debug("%s: no lock (%s)", folder, error)
                return True
            if error.errno != errno.ENOENT or attempt == _ATTEMPTS:
                raise
        else:
            return True
    raise AssertionError


class Staging:
    """Hidden folder inside a folder of results, a context manager; results are published by renaming.

    It claims the folder of results, so that hidden folders of killed runs can be removed. `path` is the hidden folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder  # the hidden folder, once entered
        self._stack = ExitStack()

    def __enter__(self) -> Staging:
        """Create and lock the folder, and remove the files of killed runs.

        Raises:
            OutputError: it cannot be created or written, or another run is writing into it.
        """
        with ExitStack() as stack:
            if not stack.enter_context(claim(self.folder)):
                raise OutputError(f"{self.folder}: another run is writing here: wait for it or choose another `out`")
            with writing(self.folder):
                _sweep(self.folder)
                self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, suffix=_SUFFIX, dir=self.folder))
            stack.callback(shutil.rmtree, self.path, ignore_errors=True)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the hidden folder, and empty folders that were created for it."""
        self._stack.close()

    def publish(self, names: Sequence[str], withdrawn: Sequence[str] = ()) -> None:
        """Move finished parts to the folder of results, all or none.

        Earlier results of the same names disappear first, in reverse order, after those named `withdrawn`.

        Args:
            names: files and folders of the hidden folder, in the order in which they appear.
            withdrawn: names in the folder of results to remove.

        Raises:
            OSError: a file cannot be moved; all moves are then undone.
        """
        aside = self.path / "replaced"
        aside.mkdir()
        earlier = [name for name in (*withdrawn, *reversed(names)) if os.path.lexists(self.folder / name)]
        moves = [(self.folder / name, aside / name) for name in earlier]
        moves += [(self.path / name, self.folder / name) for name in names]
        done: list[tuple[Path, Path]] = []
        try:
            for source, target in moves:
                source.replace(target)
                done.append((source, target))
        except BaseException:
            for source, target in reversed(done):
                target.replace(source)
            raise


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def remove_leftovers(folder: Path) -> None:
    """Remove what killed runs have left in a folder of complete results, unless another run is writing there."""
    if _hidden_folders(folder) or (folder / _LOCK).exists():
        with suppress(OutputError, OSError), claim(folder) as held:
            if held:
                _sweep(folder)


def _hidden_folders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.path for entry in entries if _NAME.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)]


def _sweep(folder: Path) -> None:
    for path in _hidden_folders(folder):
        _log.info("%s: removing the files of a killed run", path)
        shutil.rmtree(path)
