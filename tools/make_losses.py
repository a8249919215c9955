"""Writes `testdata/losses/`: losses of small batches, and their gradients by torch autograd in f64.

    python tools/make_losses.py

The formulas are written here as crates/train documents them, exponentials and all, with no maximum
subtracted: at these sizes f64 holds even exp(2 / 0.005). What the crate works out by hand, autograd finds.
"""

from __future__ import annotations

import datetime
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

FOLDER = Path(__file__).resolve().parent.parent / "testdata" / "losses"
RELEASED_EPSILON = 1e-8

Clusters = list[list[int] | None]

TAGS: Clusters = [[1, 2], [2, 1], [1, 2, 3], None, [4], [4], [], [], [7, 8, 9], None, [9]]
"""Same sets, sets that overlap, a set alone, empty sets, and captions drawn without tags."""
ALL_ALIKE: Clusters = [[3, 5]] * 4


@dataclass
class InfoNce:
    temperature: float = 0.05
    direction: str = "audio_to_text"


@dataclass
class HybridNce:
    temperature: float = 0.05
    positive_weight: float = 1.0
    shared_tag_weight: float = 0.2
    hardness: float = 0.1
    direction: str = "audio_to_text"
    form: str = "exact"


@dataclass
class Batch:
    """`spread` is how far the captions lie from their sounds; small is a model nearly done."""

    rows: int
    dim: int
    spread: float = 1.0
    normalized: bool = True
    clusters: Clusters | None = None
    rule: str = "identical_sets"


CASES: dict[str, tuple[Batch, InfoNce | HybridNce]] = {
    "info_nce": (Batch(7, 12), InfoNce()),
    "info_nce_symmetric": (Batch(7, 12), InfoNce(direction="symmetric")),
    "info_nce_cold": (Batch(9, 6), InfoNce(temperature=0.005, direction="symmetric")),
    "info_nce_nearly_done": (Batch(6, 24, spread=0.1), InfoNce(direction="symmetric")),
    "info_nce_as_they_are": (Batch(5, 10, normalized=False), InfoNce(temperature=0.7)),
    "defaults": (Batch(11, 16, clusters=TAGS), HybridNce()),
    "no_overlap": (Batch(8, 16), HybridNce(hardness=0.5)),
    "union": (Batch(11, 16, clusters=TAGS, rule="intersection_over_union"), HybridNce(shared_tag_weight=0.7)),
    "symmetric": (
        Batch(11, 16, clusters=TAGS, rule="intersection_over_union"),
        HybridNce(hardness=0.5, positive_weight=0.5, shared_tag_weight=0.7, direction="symmetric"),
    ),
    "released": (
        Batch(11, 16, clusters=TAGS),
        HybridNce(hardness=0.5, positive_weight=0.5, shared_tag_weight=0.7, direction="symmetric", form="released"),
    ),
    "released_unlike": (
        Batch(11, 2, spread=9.0, clusters=TAGS),
        HybridNce(positive_weight=0.0, direction="symmetric", form="released"),
    ),
    "no_lambda": (Batch(11, 16, clusters=TAGS), HybridNce(shared_tag_weight=0.0, temperature=0.2)),
    "no_alpha": (Batch(11, 16, clusters=TAGS), HybridNce(positive_weight=0.0, direction="symmetric")),
    "cold": (
        Batch(11, 8, clusters=TAGS, rule="intersection_over_union"),
        HybridNce(temperature=0.005, hardness=0.3, direction="symmetric"),
    ),
    "all_alike": (Batch(4, 8, clusters=ALL_ALIKE), HybridNce(positive_weight=0.4, direction="symmetric")),
    "one_pair": (Batch(1, 4), HybridNce(positive_weight=0.3, direction="symmetric")),
}


def info_nce(s: torch.Tensor, cfg: InfoNce) -> torch.Tensor:
    losses = _info_nce_rows(s, cfg)
    if cfg.direction == "symmetric":
        losses = torch.cat([losses, _info_nce_rows(s.T, cfg)])
    return losses.mean()


def _info_nce_rows(s: torch.Tensor, cfg: InfoNce) -> torch.Tensor:
    p = torch.exp(s / cfg.temperature)
    return -torch.log(p.diagonal() / p.sum(1))


def hybrid_nce(s: torch.Tensor, overlap: torch.Tensor, cfg: HybridNce) -> torch.Tensor:
    rows = _positives(s, overlap, cfg)
    losses = _hybrid_rows(rows, s, overlap, cfg)
    if cfg.direction == "symmetric":
        columns = rows if cfg.form == "released" else _positives(s.T, overlap.T, cfg)
        losses = torch.cat([losses, _hybrid_rows(columns, s.T, overlap.T, cfg)])
    return losses.mean()


def _positives(s: torch.Tensor, overlap: torch.Tensor, cfg: HybridNce) -> torch.Tensor:
    p = torch.exp(s / cfg.temperature)
    return p.diagonal() + cfg.shared_tag_weight * (overlap * p).sum(1)


def _hybrid_rows(
    positives: torch.Tensor, s: torch.Tensor, overlap: torch.Tensor, cfg: HybridNce
) -> torch.Tensor:
    eps = RELEASED_EPSILON if cfg.form == "released" else 0.0
    losses = []
    for i, pos in enumerate(positives):
        negatives = [j for j in range(len(s)) if j != i and overlap[i, j] == 0]
        z = s[i, negatives] / cfg.temperature
        hard = torch.exp(cfg.hardness * z)
        weights = len(negatives) * hard / (hard.sum() + eps) if negatives else hard
        denominator = cfg.positive_weight * pos + (weights * torch.exp(z)).sum() + eps
        losses.append(-torch.log(pos / denominator))
    return torch.stack(losses)


def overlaps(batch: Batch) -> torch.Tensor:
    """By Python's own sets."""
    table = torch.zeros(batch.rows, batch.rows, dtype=torch.float64)
    for i, ours in enumerate(batch.clusters or []):
        for j, theirs in enumerate(batch.clusters or []):
            if i == j or not ours or not theirs:
                continue
            shared, either = set(ours) & set(theirs), set(ours) | set(theirs)
            if batch.rule == "identical_sets":
                table[i, j] = float(shared == either)
            else:
                # As an f32, which is what the loss is given.
                table[i, j] = float(np.float32(len(shared) / len(either)))
    return table


def embeddings(batch: Batch, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    audio = draw.standard_normal((batch.rows, batch.dim))
    text = audio + batch.spread * draw.standard_normal((batch.rows, batch.dim))
    return audio.astype(np.float32), text.astype(np.float32)


def contrastive(name: str, seed: int, tensors: dict[str, np.ndarray]) -> dict:
    """One case into `tensors`; returns what the JSON says of it."""
    batch, cfg = CASES[name]
    audio, text = embeddings(batch, np.random.default_rng(seed))
    sides = [torch.from_numpy(side).double().requires_grad_() for side in (audio, text)]
    a, t = [side / side.norm(dim=1, keepdim=True) if batch.normalized else side for side in sides]
    s = a @ t.T
    s.retain_grad()
    if isinstance(cfg, InfoNce):
        loss = info_nce(s, cfg)
    else:
        table = overlaps(batch)
        tensors[f"{name}/overlap"] = table.float().numpy()
        loss = hybrid_nce(s, table, cfg)
    loss.backward()
    tensors[f"{name}/audio"], tensors[f"{name}/text"] = audio, text
    for key, of in [("similarities", s), ("audio", sides[0]), ("text", sides[1])]:
        tensors[f"{name}/gradient_{key}"] = of.grad.numpy()
    return {
        "name": name,
        "loss": "info_nce" if isinstance(cfg, InfoNce) else "hybrid_nce",
        "config": asdict(cfg),
        "dim": batch.dim,
        "normalized": batch.normalized,
        "clusters": batch.clusters or [None] * batch.rows,
        "rule": batch.rule,
        "value": loss.item(),
    }


def answers(tensors: dict[str, np.ndarray]) -> dict:
    """Prompts' logits with a few targets: torch's own cross-entropy, -100 where nothing is asked."""
    targets = [None, 3, None, 0, 16, 8]
    logits = (np.random.default_rng(99).standard_normal((len(targets), 17)) * 6).astype(np.float32)
    x = torch.from_numpy(logits).double().requires_grad_()
    labels = torch.tensor([-100 if t is None else t for t in targets])
    loss = torch.nn.functional.cross_entropy(x, labels, ignore_index=-100)
    loss.backward()
    tensors["answers/logits"], tensors["answers/gradient"] = logits, x.grad.numpy()
    return {"vocab": 17, "targets": targets, "value": loss.item()}


def main() -> None:
    tensors: dict[str, np.ndarray] = {}
    cases = [contrastive(name, seed, tensors) for seed, name in enumerate(CASES)]
    recorded = {"torch": torch.__version__, "pairs": cases, "answers": answers(tensors)}
    FOLDER.mkdir(parents=True, exist_ok=True)
    lines = ",\n  ".join(json.dumps(case) for case in recorded["pairs"])
    (FOLDER / "losses.json").write_text(
        f'{{\n "torch": {json.dumps(recorded["torch"])},\n "pairs": [\n  {lines}\n ],\n'
        f' "answers": {json.dumps(recorded["answers"])}\n}}\n'
    )
    save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, FOLDER / "losses.safetensors")
    (FOLDER / "ORIGIN.md").write_text(f"""# `losses`

Written by `python tools/make_losses.py` on {datetime.date.today()} with torch {torch.__version__}: the
formulas as `crates/train` documents them, in f64, differentiated by autograd. The numbers that go in are
drawn from numpy's generator with the seeds in the script.

| file | what it holds |
|---|---|
| `losses.json` | `pairs[i]`: `name`, `loss`, its `config`, whether rows are `normalized` first, tag `clusters` per row and the `rule` that makes overlaps of them, the `value`; `answers`: `vocab`, `targets`, `value` |
| `losses.safetensors` | `NAME/audio`, `NAME/text` [batch, dim] and `NAME/overlap` [batch, batch] in f32; `NAME/gradient_similarities`, `_audio`, `_text` in f64; `answers/logits` f32 and `answers/gradient` f64, [positions, vocab] |

Licence: made by this project; same as the rest of it (MIT OR Apache-2.0).
""")


if __name__ == "__main__":
    main()
