"""Writes `testdata/training/`: losses of whole training batches, and the gradients of every weight.

    python tools/make_training_golden.py

    clips, captions ──► prompts ──► Thinker ──► states ──► loss ──► backward ──► gradients by name

The checkpoint is testdata/checkpoints/tiny, computed in f32 by the classes the released path trains;
`testdata/training/ORIGIN.md`, written here too, describes what comes out. Everything is repeated in
f64, once as a batch and once item by item: the difference says how many digits of the f32 numbers mean
something, and that padding is nowhere in them.
"""

from __future__ import annotations

import copy
import datetime
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import transformers
from peft import PeftModel
from safetensors.numpy import save_file
from transformers.models.qwen2.modeling_qwen2 import Qwen2RMSNorm
from transformers.utils import logging

from make_golden import describe_sounds
from make_losses import HybridNce, InfoNce, hybrid_nce, info_nce
from released_path import EVAL, Prompt, ReleasedPath, rerank_conversation, text_part

TESTDATA = Path(__file__).resolve().parent.parent / "testdata"
FOLDER = TESTDATA / "training"
BASE = TESTDATA / "checkpoints" / "tiny"
ADAPTER = TESTDATA / "checkpoints" / "lora"

CLIPS = [("clock_ticks_0.5s.wav", 0, 8_000), ("siren_10s.flac", 16_000, 52_800), ("rain_3.37s.wav", 0, 53_920)]
"""File, first sample and the one after the last, at 16 kHz: 50, 230 and 337 frames; 1, 2 and 2 chunks."""
CAPTIONS = [
    "A clock ticks while people are talking in the distance",
    "siren",
    "Heavy rain falls on a tin roof, and a siren comes closer.",
]
SAME_TAGS = [[0, 2]]
"""Rows whose tags are the same, so each is an extra positive of the other."""
ANSWERS = [("audio2text", 0, 2, "No"), ("text2audio", 1, 1, "Yes")]
"""Direction, clip, caption, answer."""
LAST = 4
"""Positions of an answered prompt from the end: newline, answer, <|im_end|>, newline."""
SAMPLES = 16
MOST_ERROR = 1e-4
"""Of an f32 gradient relative to its f64 one: beyond it, something else than rounding is different."""

Loss = Callable[["Trainee", list[list[Prompt]]], tuple[torch.Tensor, dict[str, torch.Tensor]]]


class Trainee(ReleasedPath):
    """The released path, to be differentiated. The table keeps the rows it has in the file: that of
    `<emb>` is among them, so nothing need be resized. An adapter stays beside the weights, its
    dropout off."""

    def __init__(self, adapter: Path | None = None, emb: bool = True) -> None:
        super().__init__(BASE, add_emb=False, slow_tokenizer=emb)
        if adapter is not None:
            self.model = PeftModel.from_pretrained(self.model, adapter, is_trainable=True).eval()
        if emb:
            self.tokenizer.add_tokens(["<emb>"])
            self.emb_id = self.tokenizer.convert_tokens_to_ids("<emb>")

    def states(self, prompt: Prompt) -> torch.Tensor:
        """`[batch, hidden]` before `<emb>`, after the last norm, as long as they are."""
        last = self.model(**prompt.inputs, output_hidden_states=True).hidden_states[-1]
        at = self.emb_positions(prompt.ids)
        return last[torch.arange(len(at)), at - 1]

    def double(self) -> Trainee:
        """The same weights in f64."""
        exact = copy.copy(self)
        exact.model = copy.deepcopy(self.model).double()
        exact.model.zero_grad(set_to_none=True)
        return exact


def with_dtype_of(path: ReleasedPath, prompt: Prompt) -> Prompt:
    inputs = dict(prompt.inputs)
    if "input_features" in inputs:
        inputs["input_features"] = inputs["input_features"].to(path.model.dtype)
    return Prompt(prompt.rendered, inputs)


def norm_in_its_own_type(self: Qwen2RMSNorm, x: torch.Tensor) -> torch.Tensor:
    """transformers goes through f32 whatever it is given, which in f64 would round."""
    return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))


def contrastive(cfg: HybridNce | InfoNce, overlap: torch.Tensor) -> Loss:
    def compute(path: Trainee, prompts: list[list[Prompt]]):
        audio, text = (torch.cat([path.states(p) for p in side]) for side in prompts)
        a, t = (torch.nn.functional.normalize(side, dim=-1) for side in (audio, text))
        s = a @ t.T
        if isinstance(cfg, InfoNce):
            loss = info_nce(s, cfg)
        else:
            loss = hybrid_nce(s, overlap.to(s.dtype), cfg)
        return loss, {"audio": audio, "text": text, "similarities": s}

    return compute


def answer_loss(targets: list[list[tuple[int, int]]]) -> Loss:
    """Mean over all targets. `targets`: per row, positions within its `LAST` and the id each predicts."""

    def compute(path: Trainee, prompts: list[list[Prompt]]):
        logits = torch.cat([path.model(**p.inputs).logits[:, -LAST:] for p in prompts[0]])
        picked = torch.stack([logits[i, at] for i, row in enumerate(targets) for at, _ in row])
        wanted = torch.tensor([token for row in targets for _, token in row])
        return torch.nn.functional.cross_entropy(picked, wanted), {"logits": picked}

    return compute


def gradients(path: Trainee, prompts: list[list[Prompt]], loss: Loss):
    """Value, what was kept of the way there with its gradients, and gradients by the file's names."""
    prompts = [[with_dtype_of(path, p) for p in side] for side in prompts]
    path.model.zero_grad(set_to_none=True)
    value, kept = loss(path, prompts)
    for tensor in kept.values():
        tensor.retain_grad()
    value.backward()
    found = {}
    for name, weight in path.model.named_parameters():
        if weight.requires_grad and ".visual." not in f".{name}":
            found[name.replace(".default.", ".")] = weight.grad
    return value.item(), kept, found


def rounded(x: float) -> float:
    """An f32 needs nine digits and no more."""
    return float(f"{x:.9g}")


def sampled(values: np.ndarray) -> list[float]:
    """`SAMPLES` values from the first to the last, all where there are fewer."""
    flat, n = values.reshape(-1), min(SAMPLES, values.size)
    return [rounded(flat[i * (flat.size - 1) // max(n - 1, 1)]) for i in range(n)]


def relative(ours: torch.Tensor, exact: torch.Tensor) -> float:
    norm = exact.norm().item()
    return (ours.double() - exact).norm().item() / norm if norm else ours.norm().item()


def record(
    name: str,
    path: Trainee,
    batch: list[Prompt],
    singles: list[list[Prompt]],
    loss: Loss,
    full: Callable[[str], bool],
    tensors: dict[str, np.ndarray],
) -> dict:
    """One case into `tensors`; returns what the JSON says of it. `full`: weights with all numbers."""
    value, kept, found = gradients(path, [[p] for p in batch], loss)
    released, Qwen2RMSNorm.forward = Qwen2RMSNorm.forward, norm_in_its_own_type
    exact_path = path.double()
    exact_value, _, exact = gradients(exact_path, [[p] for p in batch], loss)
    _, _, alone = gradients(exact_path, singles, loss)
    Qwen2RMSNorm.forward = released

    for key, tensor in kept.items():
        tensors[f"{name}/{key}"] = tensor.detach().numpy()
        tensors[f"{name}/gradient_{key}"] = tensor.grad.numpy()
    about, without, worst = {}, [], 0.0
    for weight, gradient in found.items():
        if gradient is None:
            without.append(weight)
            continue
        error = relative(gradient, exact[weight])
        if error > MOST_ERROR or relative(alone[weight], exact[weight]) > 1e-9:
            raise SystemExit(f"{name}, {weight}: f32 is off by {error:.2g}, or padding matters")
        worst = max(worst, error)
        values = gradient.numpy()
        said = {
            "shape": list(values.shape),
            "norm": rounded(np.linalg.norm(values.astype(np.float64))),
            "sum": rounded(values.astype(np.float64).sum()),
            "error": float(f"{error:.2g}"),
        }
        if full(weight):
            tensors[f"{name}/{weight}"] = values
        else:
            said["samples"] = sampled(values)
        about[weight] = said
    print(f"{name}: {value:.9g}, f64 {exact_value:.12g}; {len(about)} gradients, worst error {worst:.2g}")
    return {
        "name": name,
        "value": rounded(value),
        "value_f64": exact_value,
        "without_gradient": without,
        "gradients": about,
    }


def ids_of(prompt: Prompt, row: int) -> list[int]:
    """Without padding."""
    return prompt.ids[row, prompt.inputs["attention_mask"][row] == 1].tolist()


def sides(path: Trainee, clips: list[np.ndarray]) -> tuple[list[Prompt], list[list[Prompt]], dict]:
    """Clips and captions as two batches, and one by one; what the JSON says of them."""
    batch = [path.embedding_prompt(EVAL, [None] * len(clips), clips), path.embedding_prompt(EVAL, CAPTIONS, None)]
    singles = [
        [path.embedding_prompt(EVAL, [None], [clip]) for clip in clips],
        [path.embedding_prompt(EVAL, [text], None) for text in CAPTIONS],
    ]
    said = {}
    for side, prompt in zip(("audio", "text"), batch):
        ids = [ids_of(prompt, i) for i in range(len(CAPTIONS))]
        said[side] = [
            {"rendered": text, "ids": row, "pooled": row.index(path.emb_id) - 1}
            for text, row in zip(prompt.rendered, ids)
        ]
    return batch, singles, said


def answered(judge: Trainee, clips: list[np.ndarray]):
    """Judged pairs with their answers, as one batch and one by one; targets; what the JSON says."""
    end = judge.tokenizer.convert_tokens_to_ids("<|im_end|>")
    words = dict(zip(("Yes", "No"), judge.yes_no_ids()))
    conversations, audio, targets = [], [], []
    for direction, clip, text, answer in ANSWERS:
        turn = {"role": "assistant", "content": [text_part(answer)]}
        conversations.append([*rerank_conversation(direction, CAPTIONS[text]), turn])
        audio.append(clips[clip])
        targets.append([(0, words[answer]), (1, end)])
    batch = judge.prompt(conversations, audio, generation=False)
    singles = [judge.prompt([c], [a], generation=False) for c, a in zip(conversations, audio)]
    said = []
    for i, (direction, clip, text, answer) in enumerate(ANSWERS):
        ids = ids_of(batch, i)
        wanted = [[len(ids) - LAST + at, token] for at, token in targets[i]]
        if any(ids[at + 1] != token for at, token in wanted):
            raise SystemExit(f"{answer} is not one token between the assistant's turn and its end")
        about = {"direction": direction, "clip": clip, "caption": text, "answer": answer}
        said.append({**about, "rendered": batch.rendered[i], "ids": ids, "targets": wanted})
    return [batch], [singles], targets, said


def origin(versions: str) -> str:
    return f"""# `training`

Losses of three training batches for `../checkpoints/tiny`, and their gradients for every weight, by
PyTorch's autograd in f32 through the Thinker of {versions}. Written by
`python tools/make_training_golden.py` on {datetime.date.today()}.

| case | batch | loss | trained |
|---|---|---|---|
| `hybrid_nce` | clips and captions, `prompts` | Hybrid-NCE, released form, audio to text | every weight |
| `info_nce` | the same | InfoNCE, symmetric | every weight |
| `answers` | `answers`: a pair for each direction | cross-entropy, mean over both rows' targets | every weight |
| `lora` | as `info_nce` | the same | adapter `../checkpoints/lora` only, not merged, its dropout off |

Prompts are the evaluation's, with the second assistant's turn that nothing reads. The embedding is the
state at `pooled`, after the final norm, made unit length; similarities are their products. In `answers`
the prompt is re-ranking's own, closed by the assistant's turn: **targets are the answer's one token and the
`<|im_end|>` after it**, not the newline after that, nor anything of the prompt. In `hybrid_nce` rows 0 and
2 share their tags. Nothing is padded: Python pads on the left, and the script checks in f64 that the
gradients are those of one item at a time.

## `gradients.json`

| key | meaning |
|---|---|
| `checkpoint`, `adapter`, `sounds` | folders, relative to the file |
| `torch`, `transformers`, `compute`, `attn` | what computed |
| `clips[i]` | `file`, `sha256` of the file; samples `start`..`end` at 16 kHz; `frames` of log-mel; `tokens` |
| `captions[i]` | the text |
| `prompts.audio[i]`, `prompts.text[i]` | `rendered` with one `<|AUDIO|>`; `ids` with as many as there are tokens; `pooled` |
| `answers[i]` | `direction`, `clip`, `caption`, `answer`, `rendered`, `ids`; `targets`: [position, id], the logits at the position against the id |
| `cases[k]` | `name`, `loss` with its settings, `overlap` [row][column], `value`, `value_f64`; see below |
| `cases[k].gradients[WEIGHT]` | `shape`, `norm`, `sum`, `error`; `samples` where the tensors lack it |
| `cases[k].without_gradient` | weights that are in the checkpoint and not in the loss: their gradient is zero |

`error` is the distance of the f32 gradient from the same in f64, relative to the latter's norm: how much
rounding alone may do (the f64 has the f32's rotation angles). `samples` are n = {SAMPLES} of the flat
row-major gradient, number i at `i * (size - 1) / (n - 1)` rounded down; all of them where there are fewer.

## `gradients.safetensors`

f32. Names of weights are the checkpoint's; of `lora`, those in `adapter_model.safetensors`.

| name | shape | meaning |
|---|---|---|
| `clip/i/mel` | [128, frames] | the released log-mel, what all cases were computed with |
| `CASE/audio`, `CASE/text` | [3, hidden] | states at `pooled`, as long as they are |
| `CASE/similarities` | [3, 3] | row: clip; column: caption |
| `answers/logits` | [4, rows] | at the targets, in their order |
| `CASE/gradient_audio` (`_text`, `_similarities`, `_logits`) | as above | gradients of the loss by these |
| `hybrid_nce/WEIGHT`, `lora/WEIGHT` | as the weight | all gradients |
| `answers/model.embed_tokens.weight`, `answers/lm_head.weight` | as the weight | |

Weights of the vision tower, and the adapter's pairs there, take no part and are left out. The table's
gradient is zero in rows of tokens that are not read, among them `<|AUDIO|>`, whose row the tower's output
replaces, and `<emb>`, which comes after the state.

Licence: made by this project; same as the rest of it (MIT OR Apache-2.0).
"""


def write_lines(path: Path, head: dict, cases: list[dict]) -> None:
    """JSON with a line for each weight."""
    lines = [f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in head.items()]
    told = []
    for case in cases:
        weights = ",\n    ".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in case["gradients"].items())
        rest = "".join(f"{json.dumps(k)}: {json.dumps(v)}, " for k, v in case.items() if k != "gradients")
        told.append(f'  {{{rest}"gradients": {{\n    {weights}\n  }}}}')
    lines.append(' "cases": [\n' + ",\n".join(told) + "\n ]")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def main() -> None:
    logging.set_verbosity_error()
    sounds, about = describe_sounds(TESTDATA / "sounds", [file for file, _, _ in CLIPS])
    clips = [sound[start:end] for sound, (_, start, end) in zip(sounds, CLIPS)]
    path, judge, adapted = Trainee(), Trainee(emb=False), Trainee(ADAPTER)
    batch, singles, prompts = sides(path, clips)
    judged, judged_singles, targets, answers = answered(judge, clips)
    overlap = torch.zeros(len(clips), len(clips))
    for i, j in SAME_TAGS:
        overlap[i, j] = overlap[j, i] = 1.0

    tensors: dict[str, np.ndarray] = {}
    for i, ((_, start, end), single) in enumerate(zip(CLIPS, singles[0])):
        tensors[f"clip/{i}/mel"] = single.mel()
        about[i].pop("i"), about[i].pop("n_samples_16k")
        tokens = prompts["audio"][i]["ids"].count(path.model.config.audio_token_id)
        about[i].update(start=start, end=end, frames=single.mel().shape[1], tokens=tokens)

    every, tables = (lambda name: True), (lambda name: name in ("model.embed_tokens.weight", "lm_head.weight"))
    hybrid, nce = HybridNce(form="released"), InfoNce(direction="symmetric")
    cases = []
    for name, trained, cfg, full in [
        ("hybrid_nce", path, hybrid, every),
        ("info_nce", path, nce, lambda name: False),
        ("lora", adapted, nce, every),
    ]:
        case = record(name, trained, batch, singles, contrastive(cfg, overlap), full, tensors)
        kind = "info_nce" if cfg is nce else "hybrid_nce"
        case = {"name": name, "loss": kind, "config": asdict(cfg), **case}
        cases.append({**case, "overlap": overlap.tolist()} if cfg is hybrid else case)
    case = record("answers", judge, judged, judged_singles, answer_loss(targets), tables, tensors)
    cases.insert(2, {"name": "answers", "loss": "cross_entropy", **case})

    FOLDER.mkdir(parents=True, exist_ok=True)
    head = {
        "checkpoint": "../checkpoints/tiny",
        "adapter": "../checkpoints/lora",
        "sounds": "../sounds",
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "compute": "float32",
        "attn": path.model.config._attn_implementation,
        "clips": about,
        "captions": CAPTIONS,
        "prompts": prompts,
        "answers": answers,
    }
    write_lines(FOLDER / "gradients.json", head, cases)
    file = FOLDER / "gradients.safetensors"
    save_file({k: np.ascontiguousarray(v, dtype=np.float32) for k, v in tensors.items()}, file)
    file.chmod(0o644)
    versions = f"transformers {transformers.__version__}, torch {torch.__version__}"
    (FOLDER / "ORIGIN.md").write_text(origin(versions), encoding="utf-8")
    size = sum(file.stat().st_size for file in FOLDER.iterdir())
    print(f"{len(tensors)} tensors, folder {size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
