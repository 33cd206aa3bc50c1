"""A hidden folder in which results grow until they are whole, and the way out of it."""

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

from auralsam2.errors import OutputError

try:
    import fcntl
except ImportError:  # Windows has no flock; there a folder with open files cannot be removed either
    fcntl = None

_log = logging.getLogger(__name__)

_PREFIX, _SUFFIX = ".auralsam2-", ".part"
_NAME = re.compile(re.escape(_PREFIX) + r"[a-z0-9_]{8}" + re.escape(_SUFFIX))

_REMEDIES = {
    errno.ENOSPC: "free some space or choose another folder with --out",
    errno.EDQUOT: "free some space or choose another folder with --out",
    errno.EACCES: "check its permissions or choose another folder with --out",
    errno.EPERM: "check its permissions or choose another folder with --out",
    errno.EEXIST: "move what is in the way or choose another folder with --out",
    errno.ENOTDIR: "move what is in the way or choose another folder with --out",
    errno.EISDIR: "move what is in the way or choose another folder with --out",
}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal into an error for the user.

    Args:
        path: what is being written, by the name under which the user would look for it.

    Raises:
        OutputError: for any OSError inside; names the path, the reason and the remedy.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        remedy = _REMEDIES.get(error.errno or 0, "choose another folder with --out")
        raise OutputError(f"{path}: cannot be written ({reason}): {remedy}") from error


def clean(folder: Path) -> None:
    """Remove what killed runs left in a folder of results; a run that is still alive keeps its own.

    Args:
        folder: need not exist.

    Raises:
        OutputError: something cannot be removed.
    """
    if folder.is_dir():
        with writing(folder), _holding(folder) as held:
            if held:
                _sweep(folder)


class Staging:
    """A context manager: a hidden folder inside the folder of results, so that moving out of it is one rename.

    While it lasts the folder of results is locked against other processes, where the system has locks. The lock ends
    with the process, however it ends, so leftovers of a killed run can be told from the work of a running one.
    """

    def __init__(self, folder: Path) -> None:
        """Prepare; nothing is touched before the `with`.

        Args:
            folder: the folder of results, created where missing.
        """
        self.folder = folder
        self.path = folder  # the hidden folder, once entered
        self._stack = ExitStack()

    def __enter__(self) -> Staging:
        """Create, lock and sweep the folder.

        Raises:
            OutputError: it cannot be created or written, or another run is writing into it.
        """
        with writing(self.folder), ExitStack() as stack:
            for folder in reversed((self.folder, *self.folder.parents)):
                if not folder.is_dir():
                    folder.mkdir(exist_ok=True)
                    stack.callback(_remove_if_empty, folder)
            if not stack.enter_context(_holding(self.folder)):
                raise OutputError(f"{self.folder}: another run is writing here: wait for it or choose another --out")
            _sweep(self.folder)
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, suffix=_SUFFIX, dir=self.folder))
            stack.callback(shutil.rmtree, self.path, ignore_errors=True)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the hidden folder with what was not published, and what folders were made for it and are empty."""
        self._stack.close()

    def publish(self, names: Sequence[str], withdrawn: Sequence[str] = ()) -> None:
        """Move finished parts to their place, all or none.

        Args:
            names: files and folders of the hidden folder, in the order in which they shall appear. Earlier ones of the
                same name disappear, in the opposite order.
            withdrawn: names in the folder of results that disappear before all others.

        Raises:
            OSError: something cannot be moved; then everything is back where it was.
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


@contextmanager
def _holding(folder: Path) -> Iterator[bool]:
    """Lock a folder while inside; gives False where another process has it."""
    if fcntl is None:
        yield True
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        held = True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held = False
        except OSError as error:  # some network file systems have no locks; then one run a folder is the user's care
            _log.debug("%s: no lock (%s)", folder, error)
        yield held
    finally:
        os.close(descriptor)


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _sweep(folder: Path) -> None:
    with os.scandir(folder) as entries:
        leftovers = [e.path for e in entries if _NAME.fullmatch(e.name) and e.is_dir(follow_symlinks=False)]
    for path in leftovers:
        _log.info("%s: removing what a killed run left", path)
        shutil.rmtree(path)
