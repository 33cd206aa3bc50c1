"""HDR and wide gamut against values of FFmpeg's filters, and against the patches that they were made of."""

import av
import numpy as np
import pytest
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from auralsam2.media.frame_reader import read_frames
from auralsam2.media.tone_mapping import ColourConversion

CODES = np.array(
    [
        (0, 0, 0),
        (65535, 65535, 65535),
        (30000, 30000, 30000),
        (38000, 38000, 38000),
        (49000, 49000, 49000),
        (20000, 30000, 10000),
        (40000, 20000, 12000),
        (45000, 15000, 45000),
        (60000, 40000, 30000),
        (12000, 16000, 40000),
        (5000, 5000, 5000),
        (52000, 51000, 20000),
    ],
    dtype=np.uint16,
)
GREYS = {"PQ": (0, 255, 148, 252, 255), "HLG": (0, 255, 124, 165, 252), "sRGB": (0, 255, 117, 148, 191)}
GREYS["BT.709"] = GREYS["sRGB"]
COLOURS = {
    "PQ": [(0, 155, 0), (255, 0, 0), (255, 0, 217), (255, 0, 0), (0, 25, 255), (3, 3, 3), (255, 224, 0)],
    "HLG": [(20, 129, 0), (216, 49, 24), (253, 0, 217), (255, 51, 48), (0, 59, 186), (9, 9, 9), (255, 232, 0)],
    "BT.709": [(29, 121, 0), (187, 57, 33), (210, 0, 182), (255, 142, 108), (0, 62, 162), (19, 19, 19), (210, 199, 0)],
    "sRGB": [
        (65, 118, 20),
        (167, 72, 37),
        (190, 45, 181),
        (247, 151, 109),
        (42, 63, 162),
        (19, 19, 19),
        (203, 198, 46),
    ],
}
"""`CODES` after FFmpeg 5.1's zscale and tonemap, from BT.2020; sRGB from Display P3."""
TRANSFERS = {
    "PQ": (ColorTrc.SMPTE2084, ColorPrimaries.BT2020),
    "HLG": (ColorTrc.ARIB_STD_B67, ColorPrimaries.BT2020),
    "BT.709": (ColorTrc.BT709, ColorPrimaries.BT2020),
    "sRGB": (ColorTrc.IEC61966_2_1, ColorPrimaries.SMPTE432),
}
PATCHES = np.array(
    [(255, 255, 255), (128, 128, 128), (40, 40, 40), (220, 30, 30), (30, 200, 40), (30, 40, 220), (230, 200, 40)]
)


@pytest.mark.parametrize("name", TRANSFERS)
def test_values_of_ffmpeg(name):
    transfer, primaries = TRANSFERS[name]
    conversion = ColourConversion(transfer=int(transfer), primaries=int(primaries))
    expected = [(grey,) * 3 for grey in GREYS[name]] + COLOURS[name]
    result = conversion.apply(np.repeat(CODES[None], 130, axis=0))
    assert np.abs(result.astype(int) - np.array(expected)).max() <= 1


def hlg(light):
    """HLG codes of linear light, where 1 is 203 cd/m² on a display of 1000 cd/m²."""
    scene = (light * 0.203) ** (1 / 1.2)
    return np.where(
        scene <= 1 / 12,
        np.sqrt(3 * scene),
        0.17883277 * np.log(np.maximum(12 * scene, 1) - 0.28466892) + 0.55991073,
    )


def pq(light):
    """PQ codes of linear light, where 1 is 203 cd/m²."""
    power = (light * 0.0203) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


@pytest.mark.parametrize(("name", "curve"), [("HLG", hlg), ("PQ", pq)])
def test_patches_of_a_video_come_back(tmp_path, name, curve):
    code = PATCHES / 255
    light = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    to_2020 = np.array([(0.627404, 0.329283, 0.043313), (0.069097, 0.919540, 0.011362), (0.016391, 0.088013, 0.895595)])
    codes = np.round(curve(light @ to_2020.T) * 65535).astype(np.uint16)
    picture = np.ascontiguousarray(np.broadcast_to(np.repeat(codes, 16, axis=0), (32, 112, 3)))
    path = tmp_path / "phone.mkv"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = "yuv420p10le"
        context = stream.codec_context
        context.colorspace, context.color_range = Colorspace.BT2020, ColorRange.MPEG
        context.color_trc, context.color_primaries = TRANSFERS[name]
        frame = av.VideoFrame.from_ndarray(picture, format="rgb48le")
        frame = frame.reformat(format="yuv420p10le", dst_colorspace=Colorspace.BT2020, dst_color_range=ColorRange.MPEG)
        frame.color_trc, frame.color_primaries = TRANSFERS[name]
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    with read_frames(path) as reader:
        image = next(reader).image
        assert reader.notes == [f"HDR pictures ({name}) tone-mapped to SDR"]
    assert np.abs(image[16, 8::16].astype(int) - PATCHES).max() <= 4
