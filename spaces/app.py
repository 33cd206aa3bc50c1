"""Hugging Face Space: segment what sounds in an uploaded video.

pip install -r spaces/requirements.txt
python spaces/app.py
"""

from __future__ import annotations

import os
import tempfile
from functools import lru_cache
from pathlib import Path

import auralsam2

MODEL = os.environ.get("AURALSAM2_MODEL", "mini")


@lru_cache(maxsize=1)
def load_model(name: str) -> auralsam2.AuralSAM2:
    """Load the model once."""
    return auralsam2.load(name)


def segment(video: str, text: str = "", model: str = MODEL) -> str:
    """Return the path of the overlay of a video, at its own frame rate; `text` may name the object."""
    out = tempfile.mkdtemp(prefix="auralsam2-")
    result = load_model(model).segment(video, text=text.strip() or None)
    return str(result.save(out, save=frozenset({"overlay"}), overlay_rate="source") / "overlay.mp4")


def main() -> None:
    """Serve the page."""
    import gradio

    demo = gradio.Interface(
        segment,
        inputs=[gradio.Video(label="Video with sound"), gradio.Textbox(label="Expression (optional)")],
        outputs=gradio.Video(label="Overlay"),
        title="auralsam2",
        description="Segments the objects of a video that make the sound.",
        examples=[[str(Path(auralsam2.__file__).parent / "bundled" / "demo.mp4"), ""]],
        flagging_mode="never",
    )
    demo.launch()


if __name__ == "__main__":
    main()
