"""Licence notices of the data set and of the demo clip."""

from __future__ import annotations

from collections.abc import Sequence

from auralsam2.stampavs.assets import AssetCollection

_PACKAGE = """# Licence of this data set

The pictures and sounds in this folder are made from the stamps of Tux Paint, as Debian ships them in the package
`tuxpaint-stamps-default` (upstream: tuxpaint-stamps, https://www.tuxpaint.org/).

Copyright 2002-2022 Bill Kendrick and the authors of the single stamps; licensed under the GNU General Public License,
version 2. The authors are listed in the documentation of the upstream source; the licence's text lies in
`/usr/share/common-licenses/GPL-2` on Debian, and at https://www.gnu.org/licenses/old-licenses/gpl-2.0.html.

Frames, sounds and masks are derived works of these stamps and are under the same licence. Whoever passes them on has to
pass on this note, the licence and the way to the source: the stamps are unchanged in the Debian package, and
`scene.json` names, clip by clip, the stamp and the recording of every object. What was done to them (cut out, scaled,
turned, laid over each other; cut, repeated, mixed) was done by the program named in `stampavs.json`.

To credit: "StampAVS, made by auralsam2 from the Tux Paint stamps (Bill Kendrick and others, GPL-2)".
"""

_FOLDER = """# Licence of this data set

The pictures and sounds in this folder are made from the stamps of the folder "{source}". Frames, sounds and masks are
derived works of these and are under their licence, which this program cannot know. `scene.json` names, clip by clip,
the stamp and the recording of every object.
"""


_CLIP = """# Licence of the demo clip

`demo.mp4` and `demo.json` are made from the stamps of Tux Paint, as Debian ships them in the package
`tuxpaint-stamps-default` (upstream: tuxpaint-stamps, https://www.tuxpaint.org/).

Copyright 2002-2022 Bill Kendrick and the authors of the single stamps; licensed under the GNU General Public License,
version 2. The authors are listed in the documentation of the upstream source. The licence's text is at
https://www.gnu.org/licenses/old-licenses/gpl-2.0.html, and on Debian in `/usr/share/common-licenses/GPL-2`.

The clip is a derived work of these stamps and is under the same licence; it comes without any warranty. The stamps were
cut out, scaled, turned and laid over each other, the sounds cut, repeated and mixed. The stamps are unchanged in the
Debian package, and the program that made the clip of them is part of auralsam2:

    python -m projects.mini.make_demo_clip --out FOLDER --seed {seed}

{files}
"""

_CLIP_FOLDER = """# Licence of the demo clip

`demo.mp4` and `demo.json` are made from the stamps of the folder "{source}". They are derived works of these and are
under their licence, which this program cannot know.

{files}
"""


def licence_notice(collection: AssetCollection) -> str:
    """Return the text of `LICENCE.md`."""
    return _PACKAGE if collection.is_package else _FOLDER.format(source=collection.source)


def clip_licence_notice(
    collection: AssetCollection, pictures: Sequence[str], recordings: Sequence[str], seed: int
) -> str:
    """Return the licence notice of the demo clip of a seed, with the keys of its images and recordings."""
    lists = (("Pictures", pictures), ("Sounds", recordings))
    files = "\n\n".join(f"{name}:\n\n" + "\n".join(f"- `{key}`" for key in keys) for name, keys in lists)
    return (_CLIP if collection.is_package else _CLIP_FOLDER).format(files=files, seed=seed, source=collection.source)
