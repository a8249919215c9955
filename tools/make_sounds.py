"""Writes `testdata/sounds/`: a few short sounds, made of numbers and nothing else.

    python tools/make_sounds.py

16 kHz, mono, 16 bit. The same numpy writes the same samples.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import soundfile

SAMPLE_RATE = 16_000
FOLDER = Path(__file__).resolve().parent.parent / "testdata" / "sounds"


def clock_ticks(seconds: float = 0.5) -> np.ndarray:
    """A tick every 125 ms: a 2.1 kHz and a 3.4 kHz partial, gone after 10 ms."""
    t = _time(seconds)
    since = t % 0.125
    return 0.7 * np.exp(-since * 350) * (_tone(2100, since) + 0.5 * _tone(3400, since))


def bell(seconds: float = 2.0) -> np.ndarray:
    """One stroke: six inharmonic partials over 440 Hz, the higher the sooner gone."""
    t = _time(seconds)
    ratios = (0.5, 1.0, 1.19, 1.5, 2.0, 2.74)
    return 0.18 * sum(np.exp(-t * (0.8 + 1.1 * r)) * _tone(440 * r, t) for r in ratios)


def rain(seconds: float = 3.37) -> np.ndarray:
    """Soft hiss with a few hundred drops in it; an odd number of frames, and of tower outputs."""
    draw = np.random.default_rng(7)
    n = round(seconds * SAMPLE_RATE)
    hiss = np.convolve(draw.standard_normal(n), [0.4, -0.3, 0.2], mode="same") * 0.04
    for at in draw.integers(0, n - 400, 300):
        since = np.arange(400) / SAMPLE_RATE
        pitch = draw.uniform(900, 3500)
        hiss[at : at + 400] += draw.uniform(0.05, 0.3) * np.exp(-since * 300) * _tone(pitch, since)
    return hiss


def siren(seconds: float = 10.0) -> np.ndarray:
    """A tone gliding between 500 and 1300 Hz and back every 2.5 s, with its second harmonic."""
    t = _time(seconds)
    pitch = 900 - 400 * np.cos(2 * np.pi * t / 2.5)
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    return 0.3 * np.sin(phase) + 0.08 * np.sin(2 * phase)


def _time(seconds: float) -> np.ndarray:
    return np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def _tone(hertz: float, t: np.ndarray) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * t)


SOUNDS = {
    "clock_ticks_0.5s.wav": clock_ticks,
    "bell_2s.wav": bell,
    "rain_3.37s.wav": rain,
    "siren_10s.flac": siren,
}


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, sound in SOUNDS.items():
        samples = np.round(np.clip(sound(), -1, 1) * 32767).astype(np.int16)
        soundfile.write(FOLDER / name, samples, SAMPLE_RATE, subtype="PCM_16")
        digest = hashlib.sha256(samples.tobytes()).hexdigest()
        print(f"{name}: {len(samples)} samples, sha256 of the samples {digest[:16]}")


if __name__ == "__main__":
    main()
