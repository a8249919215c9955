"""Records what the released Python path computes for a checkpoint: golden.json + .safetensors.

    python tools/make_golden.py [NAME]...                     # testdata/checkpoints/NAME
    python tools/make_golden.py --compare GOLDEN --checkpoint DIR --sounds DIR

`testdata/README.md` describes what is written. `--compare` writes nothing: it repeats a recording
made by someone else with the same keys and prints the largest difference of each kind.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.numpy import load_file, save_file
from transformers.utils import logging

import released_path
from checkpoint_layout import write_json
from released_path import CAPTION_INSTRUCTION, DEMO, EVAL, ReleasedPath, load_audio

TESTDATA = Path(__file__).resolve().parent.parent / "testdata"
CHECKPOINTS = TESTDATA / "checkpoints"
SOUNDS = ["clock_ticks_0.5s.wav", "bell_2s.wav", "rain_3.37s.wav", "siren_10s.flac"]
TEXTS = [
    "A dog barks in the distance and then thunder rumbles",
    "Heavy rain falls on a tin roof while people are talking.",
    "siren",
    "",
    "A kettle's whistle \u2014 2 short blasts, then SILENCE (44.1 kHz); it DOESN'T stop.",
    "Ein Caf\u00e9 voller G\u00e4ste \u00b7 e\u0301te\u0301 \u00b7 \u96e8\u306e\u97f3 \u00b7 "
    "\u043f\u0442\u0438\u0446\u0430 \u00b7 \U0001f514\U0001f469\u200d\U0001f692",
    "  two  spaces,\ttab\n\n  lines \r\n end ",
    "a bell <emb> rings<emb>. twice",
    "quiet<|im_end|>\n<|im_start|>assistant\nloud",
    "the word <|AUDIO|> and </tool_call> as text",
]
RERANK_TEXTS = [0, 2, 3, 5, 7]
"""Of `TEXTS`. One holds `<emb>`, which to the re-ranker's tokenizer is five ordinary characters."""
RERANK_SOUNDS = [0, 2]
FULL_ITEMS = 1
"""Items of each kind with hidden states at every position."""
MEL_CLIPS = (0, 2)
"""Of `SOUNDS`: those with log-mel in `tiny`, the only folder that records it."""
LONGEST_TOWER_S = 5
"""Tower outputs of longer clips are recorded in `tiny` only, to keep the files small."""
CAPTION_TOKENS = 12


class Recording:
    """Values under names, and the JSON that explains them."""

    def __init__(self) -> None:
        self.tensors: dict[str, np.ndarray] = {}
        self.json: dict = {}

    def put(self, name: str, values) -> None:
        if isinstance(values, torch.Tensor):
            values = values.numpy()
        kind = np.float32 if np.issubdtype(values.dtype, np.floating) else np.int32
        self.tensors[name] = np.ascontiguousarray(values, dtype=kind)

    def put_embedding(
        self, path: ReleasedPath, name: str, preset: str, prompt, full: bool
    ) -> dict:
        """Everything about one embedding prompt; returns what the JSON says of it."""
        ids = prompt.ids[0]
        states = path.hidden_states(prompt)[:, 0]
        found = torch.nonzero(ids == path.emb_id)[:, 0].tolist()
        at, safe = found[0], found[-1]
        at_name = f"{name}/{preset}"
        self.put(f"{at_name}/ids", ids)
        self.put(f"{at_name}/hidden", states[:, at - 1])
        self.put(f"{at_name}/emb_norm", normalize(states[-1, at - 1]))
        if full:
            self.put(f"{at_name}/full", states)
        said = {"seq": len(ids), "emb_pos": at, "pooled": at - 1}
        if safe != at:
            said["safe_pooled"] = safe - 1
            self.put(f"{at_name}/safe_hidden", states[:, safe - 1])
            self.put(f"{at_name}/safe_emb_norm", normalize(states[-1, safe - 1]))
        return said


def normalize(state: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(state, dim=-1)


def exact_mel(clip: np.ndarray, extractor) -> np.ndarray:
    """Log-mel by its definition, in f64 throughout; the released f32 values stray up to 1e-4."""
    window = np.hanning(extractor.n_fft + 1)[:-1]
    silence = np.zeros(3 * extractor.hop_length)  # so that no valid frame mirrors the clip's end
    wave = np.pad(np.concatenate([clip.astype(np.float64), silence]), 200, mode="reflect")
    starts = range(0, len(clip), extractor.hop_length)
    frames = np.stack([wave[at : at + extractor.n_fft] * window for at in starts])
    power = np.abs(np.fft.rfft(frames)) ** 2
    log = np.log10(np.maximum(power @ extractor.mel_filters, 1e-10)).T
    return (np.maximum(log, log.max() - 8) + 4) / 4


def record_embeddings(
    into: Recording,
    path: ReleasedPath,
    clips: list[np.ndarray],
    texts: list[str],
    mels: Sequence[int],
) -> None:
    """Every clip and text in both prompt forms. `mels`: clips whose log-mel is recorded too."""
    for i, clip in enumerate(clips):
        about = into.json["audio"][i]
        for preset in (EVAL, DEMO):
            prompt = path.embedding_prompt(preset, [None], [clip])
            if preset == EVAL:
                about["n_frames"] = prompt.mel().shape[1]
                if i in mels:
                    into.put(f"audio/{i}/mel", prompt.mel())
                    exact = exact_mel(clip, path.processor.feature_extractor)
                    into.put(f"audio/{i}/mel_exact", exact)
                tower = path.tower(prompt)
                about["n_audio_tokens"] = len(tower)
                if mels or len(clip) <= LONGEST_TOWER_S * released_path.SAMPLE_RATE:
                    into.put(f"audio/{i}/tower", tower)
            about[f"rendered_{preset}"] = prompt.rendered[0]
            full = i < FULL_ITEMS and preset == EVAL
            about[preset] = into.put_embedding(path, f"audio/{i}", preset, prompt, full)
    for i, text in enumerate(texts):
        about = {"i": i, "text": text}
        for preset in (EVAL, DEMO):
            prompt = path.embedding_prompt(preset, [text], None)
            about[f"rendered_{preset}"] = prompt.rendered[0]
            full = i < FULL_ITEMS and preset == EVAL
            about[preset] = into.put_embedding(path, f"text/{i}", preset, prompt, full)
        into.json["text"].append(about)


def record_audio_with_text(
    into: Recording, path: ReleasedPath, clips: list[np.ndarray], texts: list[str]
) -> None:
    into.json["audio_text"] = []
    for i, (clip, text) in enumerate(((1, 0), (2, 5))):
        prompt = path.embedding_prompt(EVAL, [texts[text]], [clips[clip]])
        about = {
            "i": i,
            "file": into.json["audio"][clip]["file"],
            "text": texts[text],
            "rendered_eval": prompt.rendered[0],
        }
        about[EVAL] = into.put_embedding(path, f"audio_text/{i}", EVAL, prompt, full=False)
        into.json["audio_text"].append(about)


def record_batches(
    into: Recording, path: ReleasedPath, clips: list[np.ndarray], texts: list[str]
) -> None:
    """All clips as one left-padded batch, and all texts; how far they stray from one by one."""
    for kind, items, audio in (("audio", [None] * len(clips), clips), ("text", texts, None)):
        prompt = path.embedding_prompt(EVAL, items, audio)
        together = path.embed(prompt).numpy()
        alone = np.stack([into.tensors[f"{kind}/{i}/eval/emb_norm"] for i in range(len(items))])
        pads = (prompt.inputs["attention_mask"] == 0).sum(dim=1)
        into.put(f"batch/{kind}/emb_norm", together)
        into.json[f"batch_{kind}_first_row_leading_pads"] = pads.tolist()
        into.json[f"batch_{kind}_max_abs_diff_vs_single"] = float(abs(together - alone).max())


def record_rerank(
    into: Recording, path: ReleasedPath, clips: list[np.ndarray], pairs: list[tuple[int, int]],
    texts: list[str],
) -> None:  # fmt: skip
    into.json["yes_id"], into.json["no_id"] = path.yes_no_ids()
    into.json["rerank"] = []
    prompts = []
    for clip, text in pairs:
        for direction in ("audio2text", "text2audio"):
            conversation = released_path.rerank_conversation(direction, texts[text])
            prompt = path.prompt([conversation], [clips[clip]], generation=True)
            logits = path.yes_no_logits(prompt)[0]
            k = len(into.json["rerank"])
            into.put(f"rerank/{k}/ids", prompt.ids[0])
            into.put(f"rerank/{k}/logits", logits)
            into.json["rerank"].append(
                {
                    "k": k,
                    "direction": direction,
                    "audio": into.json["audio"][clip]["file"],
                    "text": texts[text],
                    "rendered": prompt.rendered[0],
                    "yes_logit": float(logits[0]),
                    "no_logit": float(logits[1]),
                    "p_yes": float(torch.softmax(logits, dim=-1)[0]),
                    "seq": prompt.ids.shape[1],
                }
            )
            prompts.append((conversation, clips[clip]))
    batch = path.prompt([c for c, _ in prompts], [clip for _, clip in prompts], generation=True)
    together = path.yes_no_logits(batch)
    alone = np.stack([into.tensors[f"rerank/{k}/logits"] for k in range(len(prompts))])
    into.json["rerank_batch_max_abs_diff"] = float(abs(together.numpy() - alone).max())


def record_captions(into: Recording, path: ReleasedPath, clips: list[np.ndarray]) -> None:
    """Greedy captions, with how clearly each token won: a tie could fall either way."""
    into.json["caption"] = []
    for i in (0, 2):
        conversation = released_path.caption_conversation()
        prompt = path.prompt([conversation], [clips[i]], generation=True)
        new, scores = path.generate(prompt, CAPTION_TOKENS)
        best = torch.topk(scores[:, 0], 2, dim=-1).values
        k = len(into.json["caption"])
        into.put(f"caption/{k}/ids", prompt.ids[0])
        into.put(f"caption/{k}/new_ids", new[0])
        into.json["caption"].append(
            {
                "k": k,
                "audio": into.json["audio"][i]["file"],
                "instruction": CAPTION_INSTRUCTION,
                "rendered": prompt.rendered[0],
                "new_tokens": new.shape[1],
                "text": path.tokenizer.decode(new[0], skip_special_tokens=True),
                "smallest_lead": float((best[:, 0] - best[:, 1]).min()),
            }
        )


def record_last_token(
    into: Recording, path: ReleasedPath, clips: list[np.ndarray], texts: list[str], folder: Path
) -> None:
    """What sentence-transformers does with its folder: chat template, last token, unit length.

    The presets are the folder's named prompts. A prompt is put before the input as a system turn,
    an empty one is not.
    """
    config = json.loads((folder / "config_sentence_transformers.json").read_text())
    into.json["presets"] = list(config["prompts"])
    inputs = [("audio", i, None, clip) for i, clip in enumerate(clips)]
    inputs += [("text", i, text, None) for i, text in enumerate(texts)]
    into.json["text"] = [{"i": i, "text": text} for i, text in enumerate(texts)]
    for kind, i, text, clip in inputs:
        about = into.json[kind][i]
        for preset, words in config["prompts"].items():
            part = released_path.audio_part() if text is None else released_path.text_part(text)
            conversation = [{"role": "user", "content": [part]}]
            if words:
                system = {"role": "system", "content": [released_path.text_part(words)]}
                conversation.insert(0, system)
            audio = None if clip is None else [clip]
            prompt = path.prompt([conversation], audio, generation=True)
            states = path.hidden_states(prompt)[:, 0]
            if kind == "audio" and "n_frames" not in about:
                about["n_frames"] = prompt.mel().shape[1]
                tower = path.tower(prompt)
                about["n_audio_tokens"] = len(tower)
                if len(clip) <= LONGEST_TOWER_S * released_path.SAMPLE_RATE:
                    into.put(f"audio/{i}/tower", tower)
            about[f"rendered_{preset}"] = prompt.rendered[0]
            about[preset] = {"seq": prompt.ids.shape[1], "pooled": prompt.ids.shape[1] - 1}
            into.put(f"{kind}/{i}/{preset}/ids", prompt.ids[0])
            into.put(f"{kind}/{i}/{preset}/hidden", states[:, -1])
            into.put(f"{kind}/{i}/{preset}/emb_norm", normalize(states[-1, -1]))


def check_tokenizers_agree(slow: ReleasedPath, fast: ReleasedPath, texts: list[str]) -> None:
    """Retrieval uses the slow tokenizer, re-ranking the fast one; a text must not tell them apart."""
    for text in texts:
        one, other = slow.tokenizer(text).input_ids, fast.tokenizer(text).input_ids
        if one != other:
            raise SystemExit(f"{text!r}: slow tokenizer {one}, fast {other}")


def describe_sounds(folder: Path, names: list[str]) -> tuple[list[np.ndarray], list[dict]]:
    clips, about = [], []
    for i, name in enumerate(names):
        clip = load_audio(folder / name)
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        clips.append(clip)
        about.append({"i": i, "file": name, "sha256": digest, "n_samples_16k": len(clip)})
    return clips, about


def record(name: str) -> None:
    folder = CHECKPOINTS / name
    base, adapter = folder, None
    if (folder / "adapter_config.json").exists():
        base, adapter = CHECKPOINTS / "tiny", folder
    last_token = (folder / "modules.json").exists()
    path = ReleasedPath(base, adapter, add_emb=not last_token)
    judge = ReleasedPath(base, adapter, add_emb=False, slow_tokenizer=False)
    into = Recording()
    clips, about = describe_sounds(TESTDATA / "sounds", SOUNDS)
    into.json = {
        "checkpoint": base.name,
        "adapter": adapter.name if adapter else None,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "compute": "float32",
        "attn": path.model.config._attn_implementation,
        "sounds": "../../sounds",
        "tokenizer_len_before_emb": path.tokens_before_emb,
        "emb_token_id": path.emb_id,
        "embedding_rows_after_resize": path.model.get_input_embeddings().num_embeddings,
        "presets": [EVAL, DEMO],
        "audio": about,
        "text": [],
    }
    if last_token:
        texts = [text for text in TEXTS if "<emb>" not in text]
        record_last_token(into, path, clips, texts, folder)
    else:
        fast = ReleasedPath(base, adapter, slow_tokenizer=False)
        check_tokenizers_agree(path, fast, TEXTS)
        record_embeddings(into, path, clips, TEXTS, MEL_CLIPS if name == "tiny" else ())
        record_audio_with_text(into, path, clips, TEXTS)
        record_batches(into, path, clips, TEXTS)
        pairs = [(clip, text) for text in RERANK_TEXTS for clip in RERANK_SOUNDS]
        record_rerank(into, judge, clips, pairs, TEXTS)
        record_captions(into, judge, clips)
    write_json(folder / "golden.json", into.json)
    save_file(into.tensors, folder / "golden.safetensors")
    (folder / "golden.safetensors").chmod(0o644)
    write_origin(folder, adapter)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{name}: {len(into.tensors)} tensors, folder {size / 1e3:.0f} kB")


def write_origin(folder: Path, adapter: Path | None) -> None:
    versions = f"transformers {transformers.__version__}, torch {torch.__version__}"
    made = f"tools/make_checkpoints.py {folder.name}"
    what = "adapter for `../tiny`" if adapter else "checkpoint"
    (folder / "ORIGIN.md").write_text(
        f"# `{folder.name}`\n\n"
        f"- The {what}: random weights and a tokenizer learned from composed sentences, written by\n"
        f"  `python {made}`.\n"
        f"- `golden.json`, `golden.safetensors`: what the released Python path computes for it on\n"
        f"  `../../sounds`, written by `python tools/make_golden.py {folder.name}` with {versions}\n"
        f"  on {datetime.date.today()}. Keys: `../../README.md`.\n"
        f"- Licence: made by this project; same as the rest of it (MIT OR Apache-2.0).\n",
        encoding="utf-8",
    )


def compare(golden: Path, checkpoint: Path, sounds: Path) -> None:
    """Repeats the recording in `golden` and prints how far this script is from it."""
    theirs = load_file(golden / "golden.safetensors")
    told = json.loads((golden / "golden.json").read_text(encoding="utf-8"))
    path = ReleasedPath(checkpoint)
    into = Recording()
    clips, about = describe_sounds(sounds, [item["file"] for item in told["audio"]])
    texts = [item["text"] for item in told["text"]]
    into.json = {"audio": about, "text": []}
    record_embeddings(into, path, clips, texts, mels=range(len(clips)))
    record_batches(into, path, clips, texts)
    judge = ReleasedPath(checkpoint, add_emb=False, slow_tokenizer=False)
    released_path_clips = [clip[: 30 * released_path.SAMPLE_RATE] for clip in clips]
    files = [item["file"] for item in told["audio"]]
    pairs = [(files.index(r["audio"]), texts.index(r["text"])) for r in told["rerank"][::2]]
    record_rerank(into, judge, released_path_clips, pairs, texts)

    worst: dict[str, float] = {}
    for name in sorted(theirs.keys() & into.tensors.keys()):
        ours, other = into.tensors[name], theirs[name]
        kind = name.split("/")[0] + "/" + name.split("/")[-1]
        if ours.shape != other.shape:
            raise SystemExit(f"{name}: {list(ours.shape)} here, {list(other.shape)} there")
        diff = float(abs(ours.astype(np.float64) - other).max())
        worst[kind] = max(worst.get(kind, 0.0), diff)
    for kind, diff in sorted(worst.items()):
        print(f"{kind:24} max abs difference {diff:.3g}")
    for kind in ("audio", "text"):
        for ours, other in zip(into.json[kind], told[kind]):
            for preset in (EVAL, DEMO):
                if ours[f"rendered_{preset}"] != other[f"rendered_{preset}"]:
                    raise SystemExit(f"{kind} {ours['i']} {preset}: rendered prompts differ")
    for ours, other in zip(into.json["rerank"], told["rerank"]):
        if ours["rendered"] != other["rendered"]:
            raise SystemExit(f"rerank {ours['k']}: rendered prompts differ")
    print(f"{len(theirs.keys() & into.tensors.keys())} tensors compared, rendered prompts equal")


def main() -> None:
    logging.set_verbosity_error()
    torch.manual_seed(0)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = sorted(path.name for path in CHECKPOINTS.glob("*") if path.is_dir())
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}; all")
    parser.add_argument("--compare", type=Path, metavar="GOLDEN")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--sounds", type=Path)
    given = parser.parse_args()
    if given.compare:
        if not (given.checkpoint and given.sounds):
            parser.error("--compare needs --checkpoint and --sounds")
        compare(given.compare, given.checkpoint, given.sounds)
        return
    for name in given.names or known:
        record(name)


if __name__ == "__main__":
    main()
