"""Playback in a browser, also of videos that it cannot decode."""

from __future__ import annotations

import re
from pathlib import Path

from helpers.media_files import tone, write_clip
from helpers.studio_browser import Screen

PICTURES, SOUND, RATE = 5.0, 1.5, 2
"""Seconds of pictures, seconds of sound, frames a second."""
CATCH_MEDIA = """
  const make = document.createElement.bind(document);
  document.createElement = (tag, ...more) => {
    const made = make(tag, ...more);
    if (tag === "video") window.media = made;
    return made;
  };
"""
LOUDEST = """async () => {
  const id = location.hash.slice(1);
  const headers = { "X-Token": localStorage.getItem("auralsam2.token") };
  const data = await (await fetch(`/api/sessions/${id}/sound`, { headers })).arrayBuffer();
  const sound = await new OfflineAudioContext(1, 1, 16000).decodeAudioData(data);
  return sound.getChannelData(0).reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
}"""


def opened(screen: Screen, folder: Path) -> None:
    screen.page.add_init_script(CATCH_MEDIA)
    file = write_clip(folder / "clip.avi", PICTURES, codec="mpeg4", sound=tone(SOUND), audio_codec="pcm_s16le")
    screen.open(file, rate=str(RATE))


def at(screen: Screen, frame: int) -> None:
    screen.until(f"(time) => time.textContent.includes('frame {frame} of {round(PICTURES * RATE)}')", ".time")


def test_avi_plays_with_audio_to_its_end(screen: Screen, tmp_path: Path) -> None:
    opened(screen, tmp_path)
    assert 0.4 < screen.page.evaluate(LOUDEST) < 0.6
    screen.press(" ")
    screen.settles(lambda: screen.page.evaluate("media.currentTime") > 0.3, "the sound plays")
    assert screen.page.evaluate("media.error") is None
    # The sound ends first; the pictures go on.
    at(screen, round(PICTURES * RATE))
    screen.page.get_by_role("button", name="Play", exact=True).wait_for()
    assert screen.page.locator(".toast").count() == 0
    assert screen.page.evaluate("media.currentTime") < PICTURES - 1


def test_playback_after_the_end_of_the_audio_does_not_restart(screen: Screen, tmp_path: Path) -> None:
    opened(screen, tmp_path)
    screen.press(*["ArrowRight"] * 6)
    at(screen, 7)
    message = screen.keep(".time")
    screen.press(" ")
    at(screen, round(PICTURES * RATE))
    assert not [text for text in message() if re.search(r"frame [1-6] of", text)]
    screen.page.get_by_role("button", name="Play", exact=True).wait_for()
    screen.press("Home", " ")  # back to where there is some
    screen.settles(lambda: screen.page.evaluate("media.currentTime") > 0.3, "the sound plays")
