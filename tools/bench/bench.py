"""Sets our path beside the released Python path on one checkpoint, in one run, as a Markdown table.

    python tools/bench/bench.py CHECKPOINT [--threads N] [--runs N] [--pairs N] [--dtypes bf16 int8]

Needs the Python of tools/requirements.txt and cargo. Each program runs alone, one after the other: first the
released path in bf16 (`tools/bench_python.py`), then ours in each type (`crates/model/examples/bench.rs`).
`int8` and `int4` are read from packed files, which are written into the checkpoint's folder where they are
missing. CPU seconds and ratios are what to compare on a machine that does other work. The released path has
no batch without padding: its captions are timed one by one, and re-ranking is one pair times their number.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Our task, the released path's task, how many of the latter make the former, and what it is.
ROWS = [
    ("load", "load", 1, "load, wall s"),
    ("query", "query", 1, "one text query"),
    ("clip", "clip", 1, "one 10 s clip, file to vector"),
    ("captions", "query", 16, "16 mixed captions, all"),
    ("mixed", None, 1, "8 clips of 2 to 30 s, all"),
    ("captions_for_clip", "rerank", "pairs", "re-rank captions for a clip"),
    ("clips_for_query", "rerank", "pairs", "re-rank clips for a query, tower outputs kept"),
]


def run(command: list[str], threads: int) -> dict[str, dict]:
    env = {**os.environ, "RAYON_NUM_THREADS": str(threads)}
    done = subprocess.run(command, cwd=ROOT, env=env, check=True, capture_output=True, text=True)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {line["task"]: line for line in lines}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--dtypes", nargs="+", default=["bf16", "int8"])
    given = parser.parse_args()
    folder, runs = str(given.checkpoint.resolve()), str(given.runs)

    cargo = ["cargo", "run", "--release", "--quiet", "-p"]
    for dtype in given.dtypes:
        if dtype != "f32" and not (given.checkpoint / f"packed-{dtype}.safetensors").exists():
            quantize = ["aurola-app", "--", "model", "quantize", "--model", folder]
            subprocess.run([*cargo, *quantize, "--dtype", dtype], cwd=ROOT, check=True)
    threads = ["--threads", str(given.threads), "--runs", runs]
    released = run(
        [sys.executable, "tools/bench_python.py", folder, "--dtype", "bf16", *threads], given.threads
    )
    options = ["--runs", runs, "--pairs", str(given.pairs)]
    example = [*cargo, "aurola-model", "--example", "bench", "--", folder, *options, "--dtype"]
    ours = {dtype: run([*example, dtype], given.threads) for dtype in given.dtypes}

    heads = "".join(f" ours {dtype} | ratio |" for dtype in given.dtypes)
    print(f"CPU s unless said otherwise, {given.threads} threads, medians of {runs}\n")
    print(f"| work | released path |{heads}")
    print("|---|---|" + "---|---|" * len(given.dtypes))
    for task, other, times, name in ROWS:
        key = "wall_s" if task == "load" else "cpu_s"
        times = given.pairs if times == "pairs" else times
        before = released[other][key] * times if other else None
        cells = [name, f"{before:.2f}" if before else ""]
        for dtype in given.dtypes:
            now = ours[dtype][task][key]
            cells += [f"{now:.2f}", f"{before / now:.1f}" if before else ""]
        print(f"| {' | '.join(cells)} |")
    peaks = [released["rerank"]["peak_gib"]] + [
        value
        for dtype in given.dtypes
        for value in (ours[dtype]["clips_for_query"]["peak_gib"], "")
    ]
    print(f"| peak memory, GiB | {' | '.join(map(str, peaks))} |")


if __name__ == "__main__":
    main()
