"""The licence note that goes with the data."""

from __future__ import annotations

from auralsam2.data.stampavs.assets import Collection

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


def notice(collection: Collection) -> str:
    """The text of `LICENCE.md`."""
    return _PACKAGE if collection.known else _FOLDER.format(source=collection.source)
