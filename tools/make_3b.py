"""Writes a random checkpoint in the shape of a published model: as heavy, without the meaning.

    python tools/make_3b.py OUT --tokenizer DIR [--shape 3b|7b] [--tied] [--layers N ...]

For measuring load time, speed and memory. Sharded safetensors; needs numpy and about 300 MB of
memory whatever the shape. `--tokenizer`: a folder with Qwen2.5-Omni's tokenizer and processor
files, which are copied beside the weights.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import fields, replace
from pathlib import Path

from checkpoint_layout import BYTES, ThinkerShape, tensors, thinker_config, token_ids
from checkpoint_layout import write_json, write_sharded

SHAPES = {
    "3b": ThinkerShape(),
    "7b": ThinkerShape(hidden=3584, layers=28, heads=28, kv_heads=4, inner=18944, rows=152_064),
}
SETTABLE = [field.name for field in fields(ThinkerShape) if field.type == "int"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder to write; must not hold a checkpoint yet")
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--shape", choices=SHAPES, default="3b")
    parser.add_argument("--dtype", choices=BYTES, default="BF16")
    parser.add_argument("--tied", action="store_true", help="no separate output head")
    parser.add_argument("--shard-gb", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=0)
    for name in SETTABLE:
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, help="instead of the shape's")
    given = parser.parse_args()

    chosen = {name: getattr(given, name) for name in SETTABLE if getattr(given, name)}
    shape = replace(SHAPES[given.shape], tied=given.tied, **chosen)
    if list(given.out.glob("*.safetensors")):
        raise SystemExit(f"{given.out} already holds a checkpoint; remove it or choose another")
    ids = token_ids(given.tokenizer)
    used_rows = max(ids.values()) + 2  # `<emb>` will take the row above
    if used_rows > shape.rows:
        raise SystemExit(f"{given.tokenizer} needs {used_rows} rows; the shape has {shape.rows}")
    listed = tensors(shape, used_rows)
    count = sum(tensor.count for tensor in listed)
    need, free = count * BYTES[given.dtype], shutil.disk_usage(given.out.parent).free
    print(f"{count / 1e9:.2f} billion parameters, {need / 1e9:.1f} GB", flush=True)
    if need > free:
        raise SystemExit(f"{given.out.parent} has {free / 1e9:.1f} GB free")

    given.out.mkdir(exist_ok=True)
    for file in given.tokenizer.iterdir():
        if file.is_file():
            shutil.copy(file, given.out / file.name)
    write_json(given.out / "config.json", thinker_config(shape, ids, given.dtype))
    report = lambda line: print(line, flush=True)  # noqa: E731
    write_sharded(given.out, listed, given.dtype, given.seed, int(given.shard_gb * 1e9), report)


if __name__ == "__main__":
    main()
