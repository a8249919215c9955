"""Compares our samples at 16 kHz with librosa's, file by file.

    cargo build --release -p aurola-audio --example decode_samples
    python tools/compare_audio.py FOLDER... [--every N]

Prints one line for each file that is not alike, and a summary. Alike: the same number of samples, none further
apart than 1e-4. What librosa reads only through audioread or ffmpeg is left to it.
"""

from __future__ import annotations

import argparse
import subprocess
import warnings
from collections import Counter
from pathlib import Path

import librosa
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
OURS = ROOT / "target" / "release" / "examples" / "decode_samples"
ENDINGS = {".wav", ".mp3", ".ogg", ".oga", ".opus", ".flac", ".aif", ".aiff"}
ALIKE = 1e-4


def ours(path: Path) -> np.ndarray | str:
    run = subprocess.run([OURS, path], capture_output=True, timeout=120)
    if run.returncode != 0:
        return run.stderr.decode(errors="replace").strip().splitlines()[-1]
    return np.frombuffer(run.stdout, dtype="<f4")


def released(path: Path) -> np.ndarray | str:
    try:
        return librosa.load(path, sr=16_000)[0]
    except Exception as error:  # whatever it raises is its way of refusing
        return type(error).__name__


def verdict(path: Path) -> tuple[str, str]:
    """A class, and what to say of the file."""
    a, b = ours(path), released(path)
    if isinstance(a, str) and isinstance(b, str):
        return "refused by both", ""
    if isinstance(a, str):
        return "refused by us", a
    if isinstance(b, str):
        return "refused by librosa", b
    if len(a) != len(b):
        return "other length", f"{len(a)} samples against {len(b)}"
    worst = float(np.max(np.abs(a - b), initial=0.0))
    return ("alike", "") if worst <= ALIKE else ("other samples", f"up to {worst:.1e} apart")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every Nth file")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")

    files = sorted(
        path for folder in arguments.folders for path in folder.rglob("*") if path.suffix.lower() in ENDINGS
    )[:: arguments.every]
    counts: Counter[str] = Counter()
    for path in files:
        kind, words = verdict(path)
        counts[kind] += 1
        if words:
            print(f"{path}: {kind}: {words}")
    print(f"{len(files)} files: " + ", ".join(f"{n} {kind}" for kind, n in counts.most_common()))


if __name__ == "__main__":
    main()
