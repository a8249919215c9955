"""Writes testdata/audio: small compressed files, and what librosa, soxr and transformers make of sounds.

    python tools/make_audio_fixtures.py

Needs librosa, soundfile, soxr, transformers, torch (tools/requirements.txt) and ffmpeg with libmp3lame,
libvorbis and libopus. The sounds are synthesised here; no recording is involved.
"""

import csv
import datetime
import math
import pathlib
import subprocess
import sys
import tempfile
import warnings

import librosa
import numpy as np
import soundfile
import soxr
import transformers

OUT = pathlib.Path(__file__).resolve().parent.parent / "testdata" / "audio"
RATE = 22_050
SECONDS = 0.5
# Samples of each decoded file that are recorded, evenly spread.
PROBES = 24

# name: (ffmpeg arguments, note)
ENCODED = {
    "sweep.flac": (["-c:a", "flac"], "FLAC"),
    "sweep_flac.ogg": (["-c:a", "flac", "-f", "ogg"], "FLAC in Ogg"),
    "sweep_cbr.mp3": (["-c:a", "libmp3lame", "-b:a", "64k"], "MP3, LAME tag"),
    "sweep_no_tag.mp3": (["-c:a", "libmp3lame", "-b:a", "64k", "-write_xing", "0", "-id3v2_version", "0"],
                         "MP3 without a tag"),
    "sweep.mp2": (["-c:a", "mp2", "-b:a", "96k"], "MPEG layer 2"),
    "sweep.ogg": (["-c:a", "libvorbis", "-q:a", "4"], "Vorbis"),
    "sweep_music.opus": (["-c:a", "libopus", "-b:a", "64k"], "Opus, CELT"),
    "sweep_speech.opus": (["-ac", "1", "-ar", "16000", "-c:a", "libopus", "-b:a", "14k", "-application", "voip"],
                          "Opus, SILK, recorded at 16 kHz"),
    "sweep_60ms.opus": (["-c:a", "libopus", "-b:a", "24k", "-application", "voip", "-frame_duration", "60"],
                        "Opus, hybrid, 60 ms packets"),
    "sweep.webm": (["-c:a", "libopus", "-b:a", "48k"], "Opus in WebM"),
    "sweep.mka": (["-c:a", "libvorbis", "-q:a", "2"], "Vorbis in Matroska"),
    "sweep.m4a": (["-c:a", "aac", "-b:a", "64k"], "AAC in MP4"),
    "sweep.aac": (["-c:a", "aac", "-b:a", "64k", "-f", "adts"], "AAC, ADTS"),
    "sweep_alac.m4a": (["-c:a", "alac"], "Apple Lossless"),
    "sweep_alac.caf": (["-c:a", "alac"], "Apple Lossless in CAF"),
    "sweep_ima_qt.caf": (["-c:a", "adpcm_ima_qt"], "QuickTime ADPCM in CAF"),
    "sweep_ms.wav": (["-c:a", "adpcm_ms"], "Microsoft ADPCM"),
    "sweep_ima.wav": (["-c:a", "adpcm_ima_wav"], "IMA ADPCM"),
    "sweep_mp3.wav": (["-c:a", "libmp3lame", "-b:a", "64k", "-f", "wav"], "MP3 in WAV"),
}

# Rates whose conversion is recorded, and input lengths.
RATES = [(8_000, 3_001), (11_025, 4_002), (12_000, 3_003), (22_050, 5_004), (24_000, 5_005), (32_000, 6_006),
         (37_800, 6_007), (44_100, 9_008), (48_000, 9_009), (15_999, 3_010), (44_101, 9_011), (96_000, 18_012)]


def sweep(rate):
    """Two channels, int16: a rising tone, and a fading one."""
    t = np.arange(int(SECONDS * rate)) / rate
    left = 0.5 * np.sin(2 * math.pi * (300 * t + 3_000 * t * t))
    right = 0.4 * np.sin(2 * math.pi * 440 * t) * np.exp(-4 * t)
    return np.round(np.stack([left, right], 1) * 32_767).astype(np.int16)


def noise(n):
    """Noise that every language computes alike."""
    i = np.arange(n, dtype=np.uint64)
    return (((i * 2_654_435_761) % 2**32) >> 8).astype(np.float32) / np.float32(2**24) - np.float32(0.5)


def encode(source):
    rows = []
    for name, (arguments, note) in ENCODED.items():
        path = OUT / name
        command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-i", source, "-map_metadata", "-1",
                   "-fflags", "+bitexact", "-flags:a", "+bitexact", *arguments, str(path)]
        subprocess.run(command, check=True)
        try:
            samples = soundfile.read(path, dtype="float32", always_2d=True)[0]
            by = "libsndfile"
        except soundfile.LibsndfileError:
            by = "ffmpeg"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            samples, _ = librosa.load(path, sr=16_000)
        at = [(len(samples) - 1) * k // (PROBES - 1) for k in range(PROBES)]
        rows.append([name, note, by, len(samples), *(f"{samples[i]:.9g}" for i in at)])
    with open(OUT / "decoded.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "what", "decoded_by", "samples", *(f"x{k}" for k in range(PROBES))])
        writer.writerows(rows)


def resample():
    rows = []
    for rate, n in RATES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            out = librosa.resample(noise(n), orig_sr=rate, target_sr=16_000)
        at = [(len(out) - 1) * k // (4 * PROBES - 1) for k in range(4 * PROBES)]
        rows.append([rate, n, len(out), *(f"{out[i]:.9g}" for i in at)])
    with open(OUT / "resampled.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["rate", "samples_in", "samples_out", *(f"y{k}" for k in range(4 * PROBES))])
        writer.writerows(rows)


def log_mel():
    """`[n_mels, n_frames]` of growing noise, one after the other, for the cases in the test."""
    with open(OUT / "log_mel.f32", "wb") as file:
        for n_mels, chunk, n in [(128, 300, 321), (128, 300, 1_600), (80, 30, 4_321), (20, 1, 16_000), (20, 1, 15_900)]:
            extract = transformers.WhisperFeatureExtractor(
                feature_size=n_mels, sampling_rate=16_000, hop_length=160, chunk_length=chunk, n_fft=400)
            clip = noise(n) * ((np.arange(n) + 1) / n).astype(np.float32)
            mel = extract(clip, sampling_rate=16_000, return_tensors="np", padding="max_length")
            mel = mel["input_features"][0][:, : -(-n // 160)]
            file.write(np.ascontiguousarray(mel, "<f4").tobytes())


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        source = str(pathlib.Path(folder) / "sweep.wav")
        soundfile.write(source, sweep(RATE), RATE, subtype="PCM_16")
        encode(source)
    resample()
    log_mel()
    ffmpeg = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=True).stdout.split()[2]
    (OUT / "ORIGIN.md").write_text(f"""# `audio`

Written by `python tools/make_audio_fixtures.py` on {datetime.date.today()} with ffmpeg {ffmpeg}, librosa
{librosa.__version__}, soxr {soxr.__version__}, libsndfile {soundfile.__libsndfile_version__} and transformers {transformers.__version__}.
Synthesised; no recording is involved.

| file | what it is |
|---|---|
| `sweep*` | half a second of a rising and a fading tone in two channels, 22.05 kHz, encoded by ffmpeg |
| `decoded.csv` | for each: who decodes it under librosa, how many samples `librosa.load(sr=16000)` returns, and {PROBES} of them, evenly spread |
| `resampled.csv` | {4 * PROBES} samples of noise (the generator is in the script and in the test) after `librosa.resample` from each rate |
| `log_mel.f32` | spectrograms of growing noise by `WhisperFeatureExtractor`, f32 little-endian; the cases are in the test |

Licence: made by this project; same as the rest of it (MIT OR Apache-2.0).
""")


if __name__ == "__main__":
    sys.exit(main())
