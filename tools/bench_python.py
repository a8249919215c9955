"""Times the released Python path on a checkpoint, from file or text to result.

    python tools/bench_python.py CHECKPOINT [--sound FILE] [--dtype f32|bf16] [--threads N] [--runs N]

Prints one JSON object per line: first the load, then each task with the median of its runs in wall
and CPU seconds, and the peak memory of the process so far. Measured as released: audio decoded and
padded to 300 s of log-mel, hidden states of every layer kept, the output head run everywhere.
On a busy machine only `cpu_s` with `--threads 1` means anything: idle threads spin while they wait.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

SOUND = Path(__file__).resolve().parent.parent / "testdata" / "sounds" / "siren_10s.flac"
QUERY = "A vehicle driving as a man and woman are talking and laughing"


def measure(task: Callable[[], object], warm_up: int, runs: int) -> dict:
    """Median wall and CPU seconds of `runs` runs, after `warm_up` that do not count.

    One is not enough for a large checkpoint: its first two runs still fault pages of the weights
    in, and take five times as long as the third.
    """
    for _ in range(warm_up):
        task()
    wall, cpu = [], []
    for _ in range(runs):
        wall_start, cpu_start = time.perf_counter(), time.process_time()
        task()
        wall.append(time.perf_counter() - wall_start)
        cpu.append(time.process_time() - cpu_start)
    return {
        "wall_s": round(statistics.median(wall), 4),
        "wall_min_s": round(min(wall), 4),
        "wall_max_s": round(max(wall), 4),
        "cpu_s": round(statistics.median(cpu), 4),
        "runs": runs,
    }


def say(**about) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({**about, "peak_gib": round(peak / 2**30, 3)}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--sound", type=Path, default=SOUND, help="default: a 10 s clip of ours")
    parser.add_argument("--query", default=QUERY)
    parser.add_argument("--dtype", choices=("f32", "bf16"), default="f32")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--warm-up", type=int, default=3)
    parser.add_argument("--tasks", nargs="+", choices=("query", "mel", "clip", "rerank"))
    given = parser.parse_args()

    # Read by the numeric libraries as they are loaded, so set before the imports below.
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(given.threads)
    import torch
    from transformers.utils import logging

    from released_path import EVAL, ReleasedPath, load_audio, rerank_conversation

    logging.set_verbosity_error()
    torch.set_num_threads(given.threads)
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[given.dtype]
    start, cpu_start = time.perf_counter(), time.process_time()
    path = ReleasedPath(given.checkpoint, dtype=dtype)
    say(
        task="load",
        wall_s=round(time.perf_counter() - start, 3),
        cpu_s=round(time.process_time() - cpu_start, 3),
        checkpoint=given.checkpoint.name,
        dtype=given.dtype,
        threads=given.threads,
        torch=torch.__version__,
    )

    def clip_prompt():
        return path.embedding_prompt(EVAL, [None], [load_audio(given.sound)])

    def rerank():
        conversation = rerank_conversation("audio2text", given.query)
        prompt = path.prompt([conversation], [load_audio(given.sound)], generation=True)
        return path.yes_no_logits(prompt)

    tasks = {
        "query": lambda: path.embed(path.embedding_prompt(EVAL, [given.query], None)),
        "mel": clip_prompt,  # decoding, log-mel and tokens: `clip` without the model
        "clip": lambda: path.embed(clip_prompt()),
        "rerank": rerank,
    }
    for name in given.tasks or tasks:
        say(task=name, **measure(tasks[name], given.warm_up, given.runs))


if __name__ == "__main__":
    main()
