import numpy as np
import pytest

from auralsam2.errors import InputError
from auralsam2.media.audio_track import SoundTrack
from auralsam2.media.resampler import resample
from helpers.media_files import click, numbered, tone, write_clip, write_media


def wav(path, sound, rate=16_000, **options):
    return write_media(path, sound=sound, rate=rate, audio_codec="pcm_s16le", **options)


def noise(seconds, rate=16_000, channels=2):
    return np.random.default_rng(5).integers(-32_768, 32_768, (round(seconds * rate), channels)).astype(np.int16)


def test_16_bit_samples_are_exact(tmp_path):
    samples = noise(1.0)
    with SoundTrack(wav(tmp_path / "sound.wav", samples)) as track:
        sound = track.read(0.0, 1.0)
    assert sound.dtype == np.float32
    assert np.array_equal(sound, samples.astype(np.float32) / 32_768)


def test_mono_is_exact_on_both_sides(tmp_path):
    samples = noise(0.5, channels=1)
    with SoundTrack(wav(tmp_path / "mono.wav", samples)) as track:
        sound = track.read(0.0, 0.5)
    assert np.array_equal(sound, np.repeat(samples.astype(np.float32) / 32_768, 2, axis=1))


@pytest.mark.parametrize("rate", [8000, 22_050, 44_100, 48_000, 96_000])
def test_rates(tmp_path, rate):
    samples = tone(1.0, rate)
    with SoundTrack(wav(tmp_path / "sound.wav", samples, rate)) as track:
        sound = np.concatenate([track.read(0.0, 0.3), track.read(0.3, 1.0)])
    assert np.array_equal(sound, resample(samples / np.float32(32_768), rate))


def test_surround_is_mixed_down_without_clipping(tmp_path):
    """FFmpeg's matrix: left + 0.707 centre + 0.707 left surround, divided by 2.414; the low channel is left out."""
    channels = np.zeros((16_000, 6), dtype=np.int16)
    for number in range(6):
        channels[number * 2000 : (number + 1) * 2000, number] = 32_767
    channels[14_000:] = 32_767
    with SoundTrack(wav(tmp_path / "surround.wav", channels, layout="5.1")) as track:
        sound = track.read(0.0, 1.0)
    centre = 0.5**0.5 / (1 + 2**0.5)
    left, right = [1 / (1 + 2**0.5), 0, centre, 0, centre, 0], [0, 1 / (1 + 2**0.5), centre, 0, 0, centre]
    for number in range(6):
        assert sound[number * 2000 + 1000] == pytest.approx((left[number], right[number]), abs=1e-3)
    assert np.abs(sound).max() <= 1.0
    assert sound[15_000] == pytest.approx((1.0, 1.0), abs=1e-3)


def test_silent_track(tmp_path):
    with SoundTrack(write_clip(tmp_path / "silent.mp4", 1.0, sound=np.zeros((16_000, 2), np.int16))) as track:
        assert np.abs(track.read(0.0, 1.0)).max() < 1e-4


def test_no_audio_track(tmp_path):
    path = write_clip(tmp_path / "mute.mp4", 0.5, sound=None)
    with pytest.raises(InputError, match=f"^{path}: no audio track$"):
        SoundTrack(path)


def test_silence_before_and_after(tmp_path):
    samples = noise(0.5)
    with SoundTrack(wav(tmp_path / "sound.wav", samples)) as track:
        sound = track.read(-0.25, 1.0)
        assert sound.shape == (20_000, 2)
        assert not sound[:4000].any()
        assert np.array_equal(sound[4000:12_000], samples / np.float32(32_768))
        assert not sound[12_000:].any()
        assert track.read(5.0, 5.0).shape == (0, 2)


def test_length_follows_the_rule(tmp_path):
    with SoundTrack(wav(tmp_path / "sound.wav", noise(1.0))) as track:
        for begin, end in ((0.0, 0.1), (0.1, 0.33333), (0.33333, 0.9999999), (0.5, 0.50003)):
            assert track.read(begin, end).shape == (round((end - begin) * 16_000), 2)


def test_sound_shorter_than_the_pictures(tmp_path):
    with SoundTrack(write_clip(tmp_path / "short.mp4", 3.0, sound=tone(1.0))) as track:
        assert track.duration is None
        assert not track.ends_before(0.5)
        sound = track.read(0.0, 3.0)
        assert track.ends_before(2.0)
        assert track.duration == pytest.approx(1.0, abs=0.1)
    assert np.abs(sound[:15_000]).max() > 0.4
    assert not sound[20_000:].any()


def test_sound_longer_than_the_pictures(tmp_path):
    with SoundTrack(write_clip(tmp_path / "long.mp4", 1.0, sound=tone(3.0))) as track:
        sound = track.read(2.0, 2.9)
        assert not track.ends_before(2.9)
    assert np.abs(sound[:, 0]).max() > 0.4


def test_ends_before_looks_ahead_without_losing_sound(tmp_path):
    samples = noise(4.0)
    with SoundTrack(wav(tmp_path / "sound.wav", samples)) as track:
        assert not track.ends_before(3.9)
        assert track.ends_before(4.0)
        assert track.duration == 4.0
        assert np.array_equal(track.read(0.0, 4.0), samples / np.float32(32_768))
        with pytest.raises(ValueError, match="more than 30 s after"):
            track.ends_before(100.0)


def test_sound_that_starts_late_is_placed_by_its_time(tmp_path):
    path = write_clip(tmp_path / "late.mp4", 3.0, sound=tone(1.0, 48_000), rate=48_000, sound_start=1.0)
    with SoundTrack(path) as track:
        sound = np.abs(track.read(0.0, 3.0)[:, 0])
    assert sound[: 16_000 - 400].max() < 0.01
    assert sound[16_400:31_600].max() > 0.4


def test_gap_is_silent_and_later_sound_keeps_its_time(tmp_path):
    """One second of sound, a hole from 1.024 s to 2.048 s, then a click at 2.5 s."""
    sound = np.concatenate([tone(1.024), np.zeros((16_384, 2), np.int16), click(1.0, 0.452)])
    path = write_media(tmp_path / "whole.mkv", sound=sound, audio_codec="pcm_s16le")
    import av

    holed = tmp_path / "holed.mkv"
    with av.open(str(path)) as source, av.open(str(holed), "w") as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.size and not 1.02 < float(packet.pts * packet.time_base) < 2.04:
                packet.stream = stream
                target.mux(packet)
    with SoundTrack(holed) as track:
        result = track.read(0.0, 3.0)
    assert np.array_equal(result[:48_000], sound[:48_000] / np.float32(32_768))


@pytest.mark.slow
def test_late_start_by_seeking_equals_reading_through(tmp_path):
    sound = (tone(80.0) * np.linspace(0, 1, 80 * 16_000)[:, None]).astype(np.int16)
    path = write_media(tmp_path / "long.mp4", [numbered(n % 90) for n in range(80)], fps=1, sound=sound)
    with SoundTrack(path, start=70.0) as track:
        late = track.read(68.0, 75.0)
    with SoundTrack(path) as track:
        for second in range(0, 75, 5):
            track.read(second, second + 5)
        assert np.abs(track.read(68.0, 75.0) - late).max() < 1e-4
    assert np.abs(late).max() > 0.3


def test_rewind_and_bounded_memory(tmp_path):
    """Three minutes: no more than the last thirty seconds are held at any time."""
    quarter = noise(45.0)
    path = wav(tmp_path / "long.wav", np.concatenate([quarter] * 4))
    most = 0
    with SoundTrack(path) as track:
        for second in range(180):
            track.read(second - 2.0, second + 1.0)
            most = max(most, sum(len(piece) for _, piece in track._pieces))
        again = track.read(151.0, 180.0)
        with pytest.raises(ValueError, match="no longer kept"):
            track.read(140.0, 141.0)
        assert track.ends_before(180.0)
    assert most <= 31 * 16_000
    whole = np.concatenate([quarter] * 4)
    assert np.array_equal(again, whole[151 * 16_000 :] / np.float32(32_768))


def test_begin_after_end(tmp_path):
    with SoundTrack(wav(tmp_path / "sound.wav", noise(0.5))) as track, pytest.raises(ValueError, match="after end"):
        track.read(0.5, 0.25)


@pytest.mark.parametrize(
    ("ending", "codec"), [("mp3", "mp3"), ("flac", "flac"), ("mka", "libopus"), ("m4a", "aac"), ("ac3", "ac3")]
)
def test_formats_of_sound(tmp_path, ending, codec):
    path = write_media(tmp_path / f"sound.{ending}", sound=click(2.0, 1.0, 48_000), rate=48_000, audio_codec=codec)
    with SoundTrack(path) as track:
        sound = np.abs(track.read(0.0, 2.0)[:, 0])
    # The raw streams of MP3 and AC-3 do not tell their encoder's delay exactly.
    assert np.flatnonzero(sound > 0.25)[0] / 16_000 == pytest.approx(
        1.0, abs=0.03 if ending in ("mp3", "ac3") else 0.01
    )
