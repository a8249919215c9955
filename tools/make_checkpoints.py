"""Writes `testdata/checkpoints/`: small random checkpoints in every published layout.

    python tools/make_checkpoints.py [NAME]...

Each is loaded once with transformers afterwards, which must miss no weight and find none too many
beyond those the layout is meant to carry. Record their values with `make_golden.py`.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from transformers import Qwen2_5OmniThinkerForConditionalGeneration as Thinker
from transformers.utils import logging

import fixture_words
from checkpoint_layout import Tensor, ThinkerShape, VisionShape, tensors, thinker_config
from checkpoint_layout import token_ids, write_json, write_sharded

FOLDER = Path(__file__).resolve().parent.parent / "testdata" / "checkpoints"
WHOLE = 1 << 40
"""Shard size that never splits."""


@dataclass(frozen=True)
class Fixture:
    """One checkpoint folder. `finish` adds what is particular to its layout."""

    shape: ThinkerShape
    dtype: str
    seed: int
    with_emb: bool = False
    template: str = fixture_words.TEMPLATE
    template_forms: tuple[str, ...] = ("jinja",)
    prefix: str = ""
    max_shard_bytes: int = WHOLE
    extra: tuple[Tensor, ...] = ()
    finish: Callable[[Path, dict], None] = lambda folder, config: None


SMALL = ThinkerShape(
    hidden=64, layers=2, heads=4, kv_heads=2, inner=96, rows=576,
    audio_width=32, audio_layers=2, audio_heads=2, audio_inner=64, vision=VisionShape(),
)  # fmt: skip


def nest_in_the_full_model(folder: Path, config: dict) -> None:
    """The full model's `config.json`: the Thinker's is one of three parts."""
    thinker = {k: v for k, v in config.items() if k not in ("architectures", "dtype")}
    full = {
        "architectures": ["Qwen2_5OmniForConditionalGeneration"],
        "dtype": config["dtype"],
        "enable_audio_output": True,
        "enable_talker": True,
        "model_type": "qwen2_5_omni",
        "talker_config": {"model_type": "qwen2_5_omni_talker", "hidden_size": 16},
        "thinker_config": thinker,
        "token2wav_config": {"model_type": "qwen2_5_omni_token2wav"},
        "transformers_version": config["transformers_version"],
    }
    write_json(folder / "config.json", full)


def describe_as_sentence_transformer(folder: Path, config: dict) -> None:
    """The files sentence-transformers 5.4 and later writes around a chat model it embeds with."""
    kinds = {
        0: ("", "sentence_transformers.base.modules.transformer.Transformer"),
        1: ("1_Pooling", "sentence_transformers.sentence_transformer.modules.pooling.Pooling"),
        2: ("2_Normalize", "sentence_transformers.base.modules.normalize.Normalize"),
    }
    modules = [{"idx": i, "name": str(i), "path": p, "type": t} for i, (p, t) in kinds.items()]
    write_json(folder / "modules.json", modules)
    by_state = {"method": "forward", "method_output_name": "last_hidden_state"}
    write_json(
        folder / "sentence_bert_config.json",
        {
            "transformer_task": "feature-extraction",
            "modality_config": {
                "text": by_state,
                "audio": by_state,
                "message": {**by_state, "format": "structured"},
            },
            "module_output_name": "token_embeddings",
            "processing_kwargs": {"chat_template": {"add_generation_prompt": True}},
        },
    )
    write_json(
        folder / "config_sentence_transformers.json",
        {
            "__version__": {
                "sentence_transformers": "5.4.0",
                "transformers": "5.5.0",
                "pytorch": "2.10.0",
            },
            "model_type": "SentenceTransformer",
            "prompts": {"query": "Find the sound that fits the description.", "document": ""},
            "default_prompt_name": None,
            "similarity_fn_name": "cosine",
        },
    )
    (folder / "1_Pooling").mkdir(exist_ok=True)
    write_json(
        folder / "1_Pooling" / "config.json",
        {
            "embedding_dimension": config["text_config"]["hidden_size"],
            "pooling_mode": "lasttoken",
            "include_prompt": True,
        },
    )


FIXTURES = {
    # The plain case: Thinker alone, f32, one file, separate head, a vision tower to step over.
    "tiny": Fixture(SMALL, "F32", seed=1),
    # One key-value head for three query heads, one table for input and output, template as JSON.
    "kv1": Fixture(
        replace(SMALL, hidden=96, heads=3, kv_heads=1, inner=160, tied=True, vision=None),
        "BF16",
        seed=2,
        template_forms=("json",),
    ),
    # Several files and other constants everywhere; head size 20, as many key-value as query heads.
    "f16-sharded": Fixture(
        replace(
            SMALL, hidden=80, layers=3, kv_heads=4, inner=120, rms_eps=1e-5, rope_theta=10_000.0,
            audio_width=40, audio_layers=3, audio_heads=5, audio_inner=80, vision=None,
        ),
        "F16",
        seed=3,
        template_forms=("jinja", "json"),
        max_shard_bytes=180_000,
    ),  # fmt: skip
    # Inside the full model: prefixed names, talker and vocoder weights beside, `<emb>` in the
    # vocabulary, a hundred rows no token uses; head size 64 in both towers.
    "full-prefix": Fixture(
        replace(
            SMALL, hidden=128, heads=2, kv_heads=1, inner=96, rows=640,
            audio_width=64, audio_heads=1, audio_layers=1,
        ),
        "BF16",
        seed=4,
        with_emb=True,
        prefix="thinker.",
        extra=(
            Tensor("talker.codec_head.weight", (24, 16), 0.1),
            Tensor("talker.model.embed_tokens.weight", (24, 16), 0.1),
            Tensor("talker.model.layers.0.self_attn.q_proj.weight", (16, 16), 0.1),
            Tensor("token2wav.code2wav_dit_model.norm_out.linear.weight", (8, 8), 0.1),
        ),
        finish=nest_in_the_full_model,
    ),  # fmt: skip
    # A sentence-transformers folder: last token, instruction in the template, named prompts.
    "st": Fixture(
        replace(SMALL, hidden=48, heads=3, kv_heads=3, inner=64, vision=None),
        "BF16",
        seed=5,
        template=fixture_words.SUMMARY_TEMPLATE,
        finish=describe_as_sentence_transformer,
    ),
}


def write_fixture(name: str, fixture: Fixture) -> None:
    folder = FOLDER / name
    fixture_words.learn(folder, fixture.with_emb)
    fixture_words.write_processor(folder, fixture.template, fixture.template_forms)
    ids = token_ids(folder)
    config = thinker_config(fixture.shape, ids, fixture.dtype)
    write_json(folder / "config.json", config)
    write_json(
        folder / "generation_config.json",
        {
            "bos_token_id": config["bos_token_id"],
            "eos_token_id": config["eos_token_id"],
            "pad_token_id": config["pad_token_id"],
            "transformers_version": config["transformers_version"],
        },
    )
    # The row above the vocabulary is in use too: it is `<emb>`'s, once the token is added.
    used_rows = max(ids.values()) + (1 if fixture.with_emb else 2)
    listed = tensors(fixture.shape, used_rows, fixture.prefix) + list(fixture.extra)
    write_sharded(folder, listed, fixture.dtype, fixture.seed, fixture.max_shard_bytes)
    fixture.finish(folder, config)
    check(folder, fixture)


def check(folder: Path, fixture: Fixture) -> None:
    """transformers must agree that the folder is complete."""
    model, info = Thinker.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    missing = [k for k in info["missing_keys"] if not k.startswith("visual.")]
    surplus = set(info["unexpected_keys"]) - {t.name for t in fixture.extra}
    if missing or surplus or info["mismatched_keys"]:
        raise SystemExit(f"{folder}: missing {missing}, surplus {surplus}: the layout is wrong")
    tied = model.lm_head.weight is model.model.embed_tokens.weight
    if tied != fixture.shape.tied:
        raise SystemExit(f"{folder}: head tied is {tied}, wanted {fixture.shape.tied}")
    print(f"{folder.name}: {sum(p.numel() for p in model.parameters()):,} parameters")


def write_adapter(folder: Path, base: Path) -> None:
    """A PEFT adapter for `base`: every linear layer of tower and language model, r 4, alpha 8.

    The list of layer names also matches the vision tower's, as it does in practice, so the adapter
    holds a few tensors for weights no audio model reads.
    """
    model = Thinker.from_pretrained(base, dtype=torch.float32)
    names = "q_proj k_proj v_proj o_proj gate_proj up_proj down_proj out_proj fc1 fc2".split()
    config = LoraConfig(r=4, lora_alpha=8, lora_dropout=0.05, target_modules=names, bias="none")
    adapted = get_peft_model(model, config)
    draw = np.random.default_rng(6)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if ".lora_" in name:
                scale = 0.5 / np.sqrt(weight.shape[1])
                values = draw.standard_normal(tuple(weight.shape)) * scale
                weight.copy_(torch.from_numpy(values.astype(np.float32)))
    adapted.save_pretrained(folder, save_embedding_layers=False)
    path = folder / "adapter_config.json"
    file = json.loads(path.read_text(encoding="utf-8"))
    # PEFT notes the folder it was given, in this machine's words, and a set in no particular order.
    file["base_model_name_or_path"] = base.name
    file["target_modules"] = sorted(file["target_modules"])
    write_json(path, file)
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty model card
    print(f"{folder.name}: adapter for {base.name}")


def main() -> None:
    logging.set_verbosity_error()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = [*FIXTURES, "lora"]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}; all")
    for name in parser.parse_args().names or known:
        if name not in known:
            raise SystemExit(f"no fixture is called {name}; there are {', '.join(known)}")
        keep = {
            path.name: path.read_bytes()
            for path in (FOLDER / name).glob("*")
            if path.name in ("ORIGIN.md", "golden.json", "golden.safetensors")
        }
        shutil.rmtree(FOLDER / name, ignore_errors=True)
        (FOLDER / name).mkdir(parents=True)
        for file, content in keep.items():
            (FOLDER / name / file).write_bytes(content)
        if name == "lora":
            write_adapter(FOLDER / name, FOLDER / "tiny")
        else:
            write_fixture(name, FIXTURES[name])


if __name__ == "__main__":
    main()
