"""Licence notices of the data set and of the demo clip."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from auralsam2.stampavs.assets import AssetCollection

_PACKAGE = """# Licence of this data set

The pictures and sounds in this folder are made from the stamps of Tux Paint, as Debian ships them in the package
`tuxpaint-stamps-default` (upstream: tuxpaint-stamps, https://www.tuxpaint.org/).

Copyright 2002-2022 Bill Kendrick and the authors of the single stamps; licensed under the GNU General Public License,
version 2. The authors are listed in the documentation of the upstream source; the text of the licence is in
`/usr/share/common-licenses/GPL-2` on Debian, and at https://www.gnu.org/licenses/old-licenses/gpl-2.0.html.

Frames, sounds and masks are derived works of these stamps and are under the same licence. If you distribute them,
include this notice, the licence and a reference to the source: the stamps are unchanged in the Debian package, and
`scene.json` names the stamp and the recording of every object in each clip. The program named in `stampavs.json` cut
out, scaled, rotated and overlaid the pictures, and cut, repeated and mixed the sounds.

To credit: "StampAVS, made by auralsam2 from the Tux Paint stamps (Bill Kendrick and others, GPL-2)".
"""

_FOLDER = """# Licence of this data set

The pictures and sounds in this folder are made from the stamps of the folder "{source}". Frames, sounds and masks are
derived works of these and are under their licence, which this program does not know. `scene.json` names the stamp and
the recording of every object in each clip.
"""


_CLIP = """# Licence of the demo clip

`{name}.mp4` and `{name}.json` are made from the stamps of Tux Paint in the Debian package `tuxpaint-stamps-default`
(upstream: tuxpaint-stamps, https://www.tuxpaint.org/).

Copyright 2002-2022 Bill Kendrick and the authors of the single stamps; licensed under the GNU General Public License,
version 2. The authors are listed in the documentation of the upstream source. The text of the licence is at
https://www.gnu.org/licenses/old-licenses/gpl-2.0.html, and on Debian in `/usr/share/common-licenses/GPL-2`.
{background}
The clip is a derived work and is under the same licence; it comes without any warranty. The stamps were cut out,
scaled, rotated and placed over each other, and the sounds cut, repeated and mixed. The unchanged files are in the
Debian packages, and the program that made the clip is part of auralsam2:

    python -m projects.mini.make_demo_clip --out FOLDER --seed {seed}{option}

{files}
"""

_BACKGROUND = """
The background is a part of the photograph `{path}`, which has its own licence. This program does not know it.
"""

_MATE_BACKGROUND = """
The background is a part of `{path}` from the Debian package `mate-backgrounds` (upstream: MATE Backgrounds,
https://git.mate-desktop.org/mate-backgrounds/), licensed under the GNU General Public License, version 2 or later. Its
author is listed in `/usr/share/doc/mate-backgrounds/copyright`.
"""

_CLIP_FOLDER = """# Licence of the demo clip

`{name}.mp4` and `{name}.json` are made from the stamps of the folder "{source}"{photograph}. They are derived works of
these files and are under their licences, which this program does not know.

{files}
"""


def licence_notice(collection: AssetCollection) -> str:
    """Return the text of `LICENCE.md`."""
    return _PACKAGE if collection.is_package else _FOLDER.format(source=collection.source)


def clip_licence_notice(
    collection: AssetCollection,
    name: str,
    pictures: Sequence[str],
    recordings: Sequence[str],
    seed: int,
    background: Path | None = None,
) -> str:
    """Return the licence notice of a demo clip.

    Args:
        collection: the stamps.
        name: name of the files.
        pictures: keys of the images.
        recordings: keys of the recordings.
        seed: number of the scene.
        background: photograph behind the objects; None for a plain ground.
    """
    lists = (("Pictures", pictures), ("Sounds", recordings))
    files = "\n\n".join(f"{title}:\n\n" + "\n".join(f"- `{key}`" for key in keys) for title, keys in lists)
    is_mate = background is not None and "mate" in background.parts
    ground = "" if background is None else (_MATE_BACKGROUND if is_mate else _BACKGROUND).format(path=background)
    return (_CLIP if collection.is_package else _CLIP_FOLDER).format(
        name=name,
        files=files,
        seed=seed,
        source=collection.source,
        background=ground,
        option=f" --background {background}" if background else "",
        photograph=f" and the photograph {background.name}" if background else "",
    )
