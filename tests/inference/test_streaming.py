"""Sessions from a video file to masks, against the network called by hand on the same frames and sound."""

from __future__ import annotations

import dataclasses
import gc
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from auralsam2.config import ClipConfig, Conditioning
from auralsam2.errors import UsageError
from auralsam2.inference.clip import new_tracker, segment_clip
from auralsam2.inference.feature_cache import FeatureCache, Key, Tensors
from auralsam2.inference.tracker import TrackedFrame
from auralsam2.inference.video_source import VideoSource
from auralsam2.model import AuralSAM2, VideoSegmentation
from auralsam2.modeling import log_mel as log_mel_module
from auralsam2.modeling.network import AuralNetwork
from auralsam2.modeling.preprocess import normalise, to_square
from auralsam2.modeling.text_encoder import TextEncoder
from auralsam2.types import FeaturePrompts, Point, Prompts, Segmentation
from helpers.forked_process import ForkedProcess
from helpers.media_files import number_of, numbered, write_media
from helpers.small_networks import let_sound_matter, small_config, small_sam2
from helpers.small_text import save_small_text

SIZE, WIDTH, HEIGHT = 64, 64, 48
RATE, VIDEO_FPS, SECONDS = 16_000, 5, 12
CLICK = Prompts(points=(Point(x=20.0, y=12.0, time=1.2),))


def sound(seconds: float) -> np.ndarray:
    """Stereo noise that gets louder and fades every three seconds."""
    generator = np.random.default_rng(6)
    times = np.arange(round(seconds * RATE)) / RATE
    envelope = 12_000 * np.abs(np.sin(np.pi * times / 3))
    return (generator.uniform(-1, 1, (len(times), 2)) * envelope[:, None]).astype(np.int16)


def build_small_network(conditioning: Conditioning = "first") -> AuralNetwork:
    torch.manual_seed(5)
    config = dataclasses.replace(small_config(), clip=ClipConfig(frames=5, conditioning=conditioning))
    network = AuralNetwork(config, small_sam2(SIZE)).eval()
    let_sound_matter(network)
    return network


@pytest.fixture(scope="module")
def model() -> AuralSAM2:
    return AuralSAM2(build_small_network(), "small")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve seconds of numbered pictures with losslessly kept sound."""
    return write_media(
        tmp_path_factory.mktemp("video") / "numbers.mkv",
        [numbered(number) for number in range(SECONDS * VIDEO_FPS)],
        fps=VIDEO_FPS,
        sound=sound(SECONDS),
        audio_codec="pcm_s16le",
    )


@pytest.fixture(scope="module")
def plain(model: AuralSAM2, video: Path) -> list[Segmentation]:
    """The whole video at one frame a second, prompted by its sound alone."""
    return list(model.segment(video))


def pixels(frames: list[Segmentation]) -> torch.Tensor:
    return normalise(torch.stack([to_square(frame.image, SIZE) for frame in frames]))


def log_mel(begins: list[float]) -> torch.Tensor:
    track = torch.from_numpy(sound(SECONDS) / 32768)
    firsts = [round(begin * RATE) for begin in begins]
    return torch.stack(
        [log_mel_module.log_mel_example(track[first : first + log_mel_module.EXAMPLE_SAMPLES]) for first in firsts]
    )


@torch.inference_mode()
def by_hand(network: AuralNetwork, frames: list[Segmentation], first: int) -> tuple[TrackedFrame, ...]:
    """Five frames one second apart that begin at second `first`, as one clip."""
    heard = log_mel([first + 0.96 * i for i in range(5)])
    return segment_clip(network, pixels(frames[first : first + 5]), heard).frames


def check(frame: Segmentation, tracked: TrackedFrame) -> None:
    torch.testing.assert_close(torch.from_numpy(frame.logits), tracked.logits, atol=1e-5, rtol=1e-5)
    assert frame.iou == pytest.approx(tracked.iou, abs=1e-5)
    assert frame.object_score == pytest.approx(tracked.object_score, abs=1e-5)
    resized = torch.nn.functional.interpolate(
        torch.from_numpy(frame.logits)[None, None], (HEIGHT, WIDTH), mode="bilinear", align_corners=False
    )
    assert np.array_equal(frame.mask, (resized[0, 0] > 0).numpy())


def running() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "read-ahead"]


@pytest.mark.parametrize("conditioning", ["first", "middle"])
def test_windows_equal_clips_by_hand(model: AuralSAM2, video: Path, conditioning: Conditioning) -> None:
    if conditioning == "middle":
        model = AuralSAM2(build_small_network("middle"), "small")
    frames = list(model.segment(video))
    assert [frame.index for frame in frames] == list(range(SECONDS))
    for first, given_out in ((0, range(5)), (5, range(5, 10)), (7, range(10, 12))):
        tracked = by_hand(model.network, frames, first)
        for index in given_out:
            check(frames[index], tracked[index - first])
    masks = np.stack([frame.mask for frame in frames])
    assert masks.any(), "masks without a single pixel tell nothing"
    assert not masks.all(), "masks of all pixels tell nothing"


def test_sound_matters(model: AuralSAM2, video: Path, tmp_path: Path, plain: list[Segmentation]) -> None:
    other = write_media(tmp_path / "other.wav", sound=sound(SECONDS)[::-1], audio_codec="pcm_s16le")
    frames = list(model.segment(video, audio=other))
    assert all(np.abs(a.logits - b.logits).max() > 1e-3 for a, b in zip(frames, plain, strict=True))


def test_frames_carry_their_picture_and_time(plain: list[Segmentation]) -> None:
    # Pictures of 0.2 s: second 0.5 falls into the third one.
    assert [number_of(frame.image) for frame in plain] == [5 * second + 2 for second in range(SECONDS)]
    assert [frame.time for frame in plain] == pytest.approx([second + 0.4 for second in range(SECONDS)], abs=2e-3)
    for frame in plain:
        assert frame.image.shape == (HEIGHT, WIDTH, 3)
        assert (frame.mask.shape, frame.mask.dtype) == ((HEIGHT, WIDTH), np.bool_)
        assert (frame.logits.shape, frame.logits.dtype) == ((SIZE, SIZE), np.float32)
        assert frame.sounding is (frame.object_score > 0 and bool(frame.mask.any()))


def test_start_and_end(model: AuralSAM2, video: Path, plain: list[Segmentation]) -> None:
    frames = list(model.segment(video, start=3.0, end=8.0))
    assert [frame.index for frame in frames] == list(range(5))
    assert [number_of(frame.image) for frame in frames] == [number_of(frame.image) for frame in plain[3:8]]
    for frame, tracked in zip(frames, by_hand(model.network, plain, 3), strict=True):
        check(frame, tracked)


def test_four_frames_a_second_are_four_clips_side_by_side(model: AuralSAM2, video: Path) -> None:
    frames = list(model.segment(video, fps=4.0, end=5.0))
    assert len(frames) == 20
    network = model.network
    with torch.inference_mode():
        encoded = network.encode(pixels(frames))
        fused: list[FeaturePrompts] = [None] * 20  # type: ignore[list-item]
        for rank in range(4):
            begins = [max(0.0, slot + (rank + 0.5) / 4 - 0.5 - 0.04 * slot) for slot in range(5)]
            prompts = network.fuse(encoded[rank::4], log_mel(begins)).prompts
            for slot in range(5):
                fused[4 * slot + rank] = prompts.frame(slot)
        tracker = new_tracker(network, 20)
        for t, frame in enumerate(frames):
            check(frame, tracker.step(t, encoded[t], fused[t], conditioning=t == 0))


def test_half_a_frame_a_second(model: AuralSAM2, video: Path) -> None:
    frames = list(model.segment(video, fps=0.5))
    assert [number_of(frame.image) for frame in frames] == [5, 15, 25, 35, 45, 55]
    network = model.network
    for first, given_out in ((0, range(5)), (1, range(5, 6))):
        with torch.inference_mode():
            heard = log_mel([2 * index + 0.5 for index in range(first, first + 5)])
            tracked = segment_clip(network, pixels(frames[first : first + 5]), heard).frames
        for index in given_out:
            check(frames[index], tracked[index - first])


def test_every_frame(model: AuralSAM2, video: Path) -> None:
    frames = list(model.segment(video, fps=None, start=1.0, end=7.4))
    assert [number_of(frame.image) for frame in frames] == list(range(5, 37))
    assert [frame.index for frame in frames] == list(range(32))
    assert [frame.time for frame in frames] == pytest.approx([number / 5 for number in range(5, 37)], abs=2e-3)


def test_memory_does_not_grow(model: AuralSAM2, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two windows, and the frame that shows that the second one is full."""
    most = []
    put = FeatureCache.put

    def counted(self: FeatureCache, key: Key, tensors: Tensors) -> None:
        put(self, key, tensors)
        if key[0] == "features":
            most.append(len({key[-1] for key in self._sizes}))

    monkeypatch.setattr(FeatureCache, "put", counted)
    pictures = [numbered(number % 100) for number in range(64 * 2)]
    long = write_media(tmp_path / "long.mkv", pictures, fps=2, sound=sound(64), audio_codec="pcm_s16le")
    assert sum(1 for _ in model.segment(long)) == 64
    assert max(most) == 11
    assert most.count(11) > 5, "the bound was reached again and again"


def test_text_is_refused_by_a_model_that_reads_none(model: AuralSAM2, video: Path) -> None:
    with pytest.raises(UsageError, match="small reads no text"):
        model.segment(video, text="the dog")


def test_text(video: Path, tmp_path: Path) -> None:
    config = small_config()
    fuser = dataclasses.replace(config.fuser, modality="audio+text", text_width=32)
    config = dataclasses.replace(config, text="text", fuser=fuser)
    torch.manual_seed(6)
    network = AuralNetwork(config, small_sam2(SIZE), TextEncoder(save_small_text(tmp_path))).eval()
    let_sound_matter(network)
    reader = AuralSAM2(network, "reader")
    said = list(reader.segment(video, text="the dog on the left", end=5.0))
    with torch.inference_mode():
        text = network.text_encoder("the dog on the left")  # type: ignore[misc]
        output = segment_clip(network, pixels(said), log_mel([0.96 * i for i in range(5)]), text)
    for frame, tracked in zip(said, output.frames, strict=True):
        check(frame, tracked)
    unsaid = list(reader.segment(video, end=5.0))
    assert np.abs(said[0].logits - unsaid[0].logits).max() > 1e-4
    deaf = reader.segment(video, text="the dog on the left", audio="none", end=5.0)
    assert np.abs(said[0].logits - next(iter(deaf)).logits).max() > 1e-4
    assert deaf.warnings == []


def test_silence_sounds_nowhere(model: AuralSAM2, video: Path, tmp_path: Path, plain: list[Segmentation]) -> None:
    silent = write_media(tmp_path / "silent.wav", sound=np.zeros((5 * RATE, 2), np.int16), audio_codec="pcm_s16le")
    segmentation = model.segment(video, audio=silent)
    frames = list(segmentation)
    assert not any(frame.sounding for frame in frames)
    assert segmentation.warnings == ["the sound track is silent"]
    assert any(frame.object_score > 0 and frame.mask.any() for frame in frames), "nothing to be silenced"
    assert any(frame.sounding for frame in plain)


def test_with_sound_there_is_no_warning(model: AuralSAM2, video: Path) -> None:
    segmentation = model.segment(video, end=2.0)
    assert len(list(segmentation)) == 2
    assert segmentation.warnings == []


def test_damage_is_told(model: AuralSAM2, video: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(video.read_bytes()[: video.stat().st_size * 2 // 3])
    segmentation = model.segment(cut)
    assert 6 <= len(list(segmentation)) < SECONDS
    assert any(warning.startswith("video damaged at ") for warning in segmentation.warnings)


@pytest.mark.parametrize("prompts", [Prompts(), CLICK], ids=["sound", "click"])
def test_closing_early_leaves_no_thread(model: AuralSAM2, video: Path, prompts: Prompts) -> None:
    frames = iter(model.segment(video, prompts=prompts, fps=VIDEO_FPS))
    assert isinstance(frames, Iterator)
    next(frames)
    assert running()
    frames.close()  # type: ignore[attr-defined]
    assert not running()

    for frame in model.segment(video, prompts=prompts):
        if frame.index == 6:
            break
    del frame
    gc.collect()
    assert not running()


def test_an_error_in_the_loop_leaves_no_thread(model: AuralSAM2, video: Path) -> None:
    def stumble() -> None:
        for frame in model.segment(video):
            raise RuntimeError(frame.index)

    with pytest.raises(RuntimeError):
        stumble()
    gc.collect()
    assert not running()


@pytest.mark.parametrize("prompts", [Prompts(), CLICK], ids=["sound", "click"])
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_the_caller_keeps_its_modes(model: AuralSAM2, video: Path, dtype: str, prompts: Prompts) -> None:
    layer = torch.nn.Linear(2, 1)
    for _ in AuralSAM2(model.network, "small", dtype).segment(video, prompts=prompts):
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
        assert not torch.is_autocast_enabled("cpu")
        layer(torch.ones(2)).sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.tolist() == [[SECONDS, SECONDS]]


@pytest.mark.parametrize("prompts", [Prompts(), CLICK], ids=["sound", "click"])
def test_frames_can_be_read_once(model: AuralSAM2, video: Path, prompts: Prompts) -> None:
    segmentation = model.segment(video, prompts=prompts, end=2.0)
    assert isinstance(segmentation, VideoSegmentation)
    assert len(list(segmentation)) == 2
    with pytest.raises(UsageError, match=r"numbers\.mkv.*segment again"):
        next(iter(segmentation))


def test_without_sound_and_words_there_is_nothing_to_look_for(model: AuralSAM2, video: Path) -> None:
    source = VideoSource.open(video, Prompts(), audio="none", prompts_later=True)
    with pytest.raises(UsageError, match=r"numbers\.mkv: nothing to look for: give sound, text"):
        VideoSegmentation(model, source, Prompts())


@pytest.mark.parametrize("prompts", [Prompts(), CLICK], ids=["sound", "click"])
def test_the_clock_counts(model: AuralSAM2, video: Path, prompts: Prompts) -> None:
    segmentation = model.segment(video, prompts=prompts, end=3.0)
    list(segmentation)
    seconds = segmentation.clock.seconds
    assert all(seconds[stage] > 0 for stage in ("decode", "encoder", "fuser", "decoder", "memory"))
    assert seconds["write"] == 0


@pytest.mark.parametrize("prompts", [Prompts(), CLICK], ids=["sound", "click"])
def test_a_slide_show_costs_one_encoding_a_picture(
    tmp_path: Path, model: AuralSAM2, monkeypatch: pytest.MonkeyPatch, prompts: Prompts
) -> None:
    times = [0.0, 9.0, 21.0, 24.0]
    slides = write_media(
        tmp_path / "slides.mkv", [numbered(number) for number in range(4)], times, sound=sound(25), audio_codec="mp3"
    )
    encoded = 0
    encode = model.network.encode

    def counted(pixels: torch.Tensor, **options: bool) -> object:
        nonlocal encoded
        encoded += len(pixels)
        return encode(pixels, **options)

    monkeypatch.setattr(model.network, "encode", counted)
    frames = list(model.segment(slides, prompts=prompts))
    assert [number_of(frame.image) for frame in frames] == [0] * 9 + [1] * 12 + [2] * 3
    assert encoded == 3


MEMORY = """
import dataclasses
import sys
from pathlib import Path
from auralsam2.bench.material import build_small_network
from auralsam2.bench.memory import peak_bytes
from auralsam2.config import ClipConfig
from auralsam2.inference.streaming import VideoStream
from auralsam2.inference.video_source import VideoSource
from auralsam2.modeling.network import AuralNetwork
from auralsam2.types import Prompts

small = build_small_network(128)
network = AuralNetwork(dataclasses.replace(small.config, clip=ClipConfig(frames=2)), small.sam2).eval()
for video in sys.argv[1:]:
    source = VideoSource.open(Path(video), Prompts(), fps=None)
    stream = VideoStream(network, source, Prompts(), memory=10 << 20)
    for frames, _ in enumerate(stream, start=1):
        if frames in (30, 120, 180):
            print(frames, peak_bytes() / (1 << 20))
"""


def test_memory_does_not_grow_with_the_length_at_30_frames_a_second(
    tmp_path: Path, fork: Callable[..., ForkedProcess]
) -> None:
    """A window of 2 s has 46 MB of images and 26 MB of features, of which 10 MiB may be in memory."""
    clips = []
    for seconds in (1, 6):
        pictures = [numbered(number % 100, 640, 400) for number in range(30 * seconds)]
        clips.append(write_media(tmp_path / f"{seconds}.mp4", pictures, fps=30, sound=sound(seconds)))
    process = fork("-c", MEMORY, *clips)
    lines, errors = process.communicate()
    assert process.returncode == 0, errors
    rows = [tuple(map(float, line.split())) for line in lines.splitlines()]
    assert [frames for frames, _ in rows] == [30, 30, 120, 180]
    one_second, _, two_windows, three_windows = (peak for _, peak in rows)
    assert two_windows - one_second < 70
    assert three_windows - two_windows < 20
