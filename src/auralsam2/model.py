"""The model as users hold it: load it, segment a video, save what comes out."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from auralsam2.config import ModelConfig
from auralsam2.errors import UsageError
from auralsam2.hub import download
from auralsam2.inference.object_state import Merge
from auralsam2.inference.propagation import Combine
from auralsam2.inference.streaming import FeatureStream, PromptedStream
from auralsam2.inference.video_session import VideoSession
from auralsam2.inference.video_source import DEFAULT_FPS, Audio, VideoSource
from auralsam2.model_folder import check_parts, load_network, save_network
from auralsam2.modeling.network import AudioVisualNetwork, AuralNetwork
from auralsam2.outputs.result_folder import BackgroundWriter, ResultFolder
from auralsam2.types import Prompts, Segmentation
from auralsam2.utils.devices import DTYPES, pick_device, pick_dtype
from auralsam2.utils.timing import StageTimer

DEFAULT_SAVE = frozenset({"overlay", "masks", "json"})
_MISFITS = (RuntimeError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError, AssertionError)
"""Raised by torch and transformers where sizes or values of a configuration do not go together."""


class AuralSAM2:
    """A loaded model.

    Args:
        network: on its device; AuralSAM2's, or that of a baseline, which can be evaluated alone.
        name: by which results name the model.
        dtype: fp32, bf16 or fp16: what the network computes in; the weights stay float32.
        folder: the model folder that the network was loaded from, if any.
    """

    def __init__(self, network: AudioVisualNetwork, name: str, dtype: str = "fp32", folder: Path | None = None) -> None:
        self.network = network.eval()
        self.name = name
        self.dtype = dtype
        self.folder = folder

    @property
    def config(self) -> ModelConfig:
        """The network's configuration."""
        return self.network.config

    @classmethod
    def from_pretrained(
        cls, model: str | Path, device: str | int | torch.device = "auto", dtype: str | torch.dtype = "auto"
    ) -> AuralSAM2:
        """Load a model by name, folder or hub id.

        Args:
            model: `auralsam2 models` lists the names.
            device: auto, cpu, cuda, cuda:N or mps, or a `torch.device`; auto takes an accelerator where there is one.
            dtype: auto, fp32, bf16 or fp16, or torch's type; auto is fp32 on a CPU and bf16 elsewhere.

        Raises:
            UnavailableError: the model, or a part of it, is not here and cannot be fetched.
            ConfigError: its files contradict each other.
            UsageError: device or dtype cannot be had.
        """
        where = pick_device(device)
        precision = pick_dtype(dtype, where)
        folder = download.resolve(str(model))
        return cls(load_network(folder).to(where), str(model), precision, folder)

    def save_pretrained(self, folder: Path | str) -> Path:
        """Write a model folder that loads from any place.

        Its SAM 2 and its text encoder are written too, as `sam2/` and `text/`, if they lie inside the folder that the
        model was loaded from. A part that the configuration names by hub id or by an absolute path stays there.

        Returns:
            the folder, made where missing.

        Raises:
            OutputError: the folder cannot be written; earlier files in it stay as they are.
        """
        folder = Path(folder).expanduser()
        save_network(self.network, folder, self.folder)
        return folder

    def segment(
        self,
        path: Path | str,
        *,
        text: str | None = None,
        prompts: Prompts | None = None,
        audio: Audio = "track",
        fps: float | None = DEFAULT_FPS,
        start: float = 0.0,
        end: float | None = None,
    ) -> VideoSegmentation:
        """Segment the sounding objects of a video, or what the user points at, lazily.

        Points, boxes and masks join the sound and the text, all of them of one object, which is then looked for in all
        frames: those before the first prompted one attend to it too. Without them each clip window stands for itself.

        Args:
            path: the video.
            text: an expression, for models that read text; in place of the one in `prompts`.
            prompts: points, boxes, masks and text.
            audio: `track` for the video's own sound, `none`, or another file.
            fps: processed frames a second; None for every frame.
            start: first processed second.
            end: second at which to stop; None for the end of the video.

        Returns:
            an iterable of `Segmentation`, which computes as it is read.

        Raises:
            InputError: the video cannot be used.
            UsageError: an argument does not fit the video or the model.
        """
        said = prompts or Prompts()
        if text is not None:
            said = dataclasses.replace(said, text=text)
        check_modality(self.config, said, self.name)
        return self.segment_source(VideoSource.open(Path(path), said, audio=audio, fps=fps, start=start, end=end), said)

    def open(
        self,
        path: Path | str,
        *,
        audio: Audio = "track",
        fps: float | None = DEFAULT_FPS,
        start: float = 0.0,
        end: float | None = None,
        combine: Combine = "joint",
        merge: Merge = "mean_prob",
    ) -> VideoSession:
        """Open a video to talk about: prompts come and go, and every frame is encoded once.

        Args:
            path: the video.
            audio: `track` for the video's own sound, `none`, or another file.
            fps: processed frames a second; None for every frame.
            start: first processed second.
            end: second at which to stop; None for the end of the video.
            combine: what becomes of an object that is both heard and pointed at: `joint`, one decoder call gets all
                prompts; `ensemble`, two calls, whose masks are merged.
            merge: `mean_prob`, `mean_logit`, `max_iou_score` or `union`.

        Returns:
            a context manager.

        Raises:
            InputError: the video cannot be used.
            UsageError: an argument does not fit the video.
        """
        sound = Path(audio) if audio not in ("track", "none") else audio
        source = VideoSource.open(Path(path), Prompts(), audio=sound, fps=fps, start=start, end=end, prompts_later=True)
        return VideoSession(self.streaming(), source, self.compute, combine=combine, merge=merge)

    def segment_source(self, source: VideoSource, prompts: Prompts) -> VideoSegmentation:
        """The same for a source that was opened and checked before."""
        return VideoSegmentation(self, source, prompts)

    def streaming(self) -> AuralNetwork:
        """The network, if it takes videos of any length.

        Raises:
            UsageError: it is that of a baseline.
        """
        if not isinstance(self.network, AuralNetwork):
            raise UsageError(
                f"model {self.name} is the baseline {self.config.method}, which takes whole clips: give it to "
                "auralsam2 evaluate, or take a model such as mini"
            )
        return self.network

    @contextlib.contextmanager
    def compute(self) -> Iterator[None]:
        """The context in which the network runs.

        Raises:
            ConfigError: the network failed because its parts do not fit each other.
        """
        narrow = self.dtype != "fp32"
        try:
            with torch.autocast(self.network.device.type, DTYPES[self.dtype]) if narrow else contextlib.nullcontext():
                yield
        except _MISFITS as error:
            if not isinstance(error, torch.OutOfMemoryError):
                check_parts(self.network, self.folder or self.name)
            raise


class VideoSegmentation:
    """The frames of one video, computed as they are read, once.

    Args:
        model: does the work.
        source: the video.
        prompts: what the user says beside the sound.
    """

    def __init__(self, model: AuralSAM2, source: VideoSource, prompts: Prompts) -> None:
        self.model, self.source, self.prompts = model, source, prompts
        self.clock = StageTimer()
        self._begun = False
        network = model.streaming()
        self._frames: PromptedStream | FeatureStream
        if prompts.visual:
            self._frames = PromptedStream(network, source, prompts, model.compute, self.clock)
        else:
            self._frames = FeatureStream(network, source, prompts.text, model.compute, self.clock)

    @property
    def warnings(self) -> list[str]:
        """Notes for the user, complete after the last frame."""
        return self._frames.warnings

    def __iter__(self) -> Iterator[Segmentation]:
        """The processed frames, in the order of time.

        Raises:
            UsageError: this is the second time; they are computed once.
        """
        if self._begun:
            raise UsageError(f"{self.source.info.path}: the frames can be read once: call segment again")
        self._begun = True
        return iter(self._frames)

    def save(
        self,
        out: Path | str,
        *,
        save: frozenset[str] = DEFAULT_SAVE,
        overlay: bool | None = None,
        options: dict[str, Any] | None = None,
        on_frame: Callable[[Segmentation], None] | None = None,
    ) -> Path:
        """Compute all frames and write their files into `out/NAME/`, NAME being the video's without its ending.

        Args:
            out: made where missing.
            save: of overlay, masks, json, coco, frames.
            overlay: whether the overlay is among them, whatever `save` says of it; None leaves it to `save`.
            options: for `result.json`; with a `request`, as of `outputs.request`, a later run can skip this video.
            on_frame: called after each frame, for progress.

        Returns:
            the folder with the files; they appear whole or not at all.

        Raises:
            OutputError: a file cannot be written.
            InputError: the video is damaged beyond use.
        """
        if overlay is not None:
            save = save - {"overlay"} | ({"overlay"} if overlay else set())
        source = self.source
        header = {
            "model": self.model.name,
            "prompts": {**dataclasses.asdict(self.prompts), "audio": source.sound},
            "options": (options or {}) | {"save": sorted(save)},
            "device": self.model.network.device.type,
            "dtype": self.model.dtype,
        }
        sound = source.sound or (source.info.path if source.info.audio_rate is not None else None)
        folder = ResultFolder(
            result_folder(Path(out), source.info.path),
            source.info,
            save,
            header,
            audio_from=sound,
            start=source.start,
            end=source.end,
        )
        with folder:
            with BackgroundWriter(folder, self.clock) as writer:
                for segmentation in self:
                    writer.write(segmentation)
                    if on_frame is not None:
                        on_frame(segmentation)
            folder.close(timing=self.clock.seconds, warnings=self.warnings)
        return folder.folder


def result_folder(out: Path, video: Path) -> Path:
    """Where the results of a video go."""
    return out / video.stem


def check_modality(config: ModelConfig, prompts: Prompts, name: str) -> None:
    """Text needs a model that reads it.

    Raises:
        UsageError: the model reads none.
    """
    if prompts.text is not None and config.fuser.modality != "audio+text":
        raise UsageError(f"model {name} reads no text: leave `text` out, or take a model such as ref-avs")


def load(model: str | Path, device: str | int | torch.device = "auto", dtype: str | torch.dtype = "auto") -> AuralSAM2:
    """Load a model by name, folder or hub id; see `AuralSAM2.from_pretrained`."""
    return AuralSAM2.from_pretrained(model, device, dtype)
