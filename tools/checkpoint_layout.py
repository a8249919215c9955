"""Qwen2.5-Omni Thinker checkpoints, as names, shapes and random numbers.

    ThinkerShape ──► tensors() ──► random_rows() ──► write_sharded() ──► *.safetensors (+ index)
                └──► thinker_config() ──────────────────────────────────► config.json

Needs numpy and nothing else, and holds at most `CHUNK` values at a time, so a 4-billion-parameter
checkpoint is written by a machine that could not load it. The numbers depend on the seed and the
tensor's name only: neither sharding, nor order, nor the other tensors change them.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

CHUNK = 1 << 24
"""Values drawn, rounded and written at a time."""

BYTES = {"F32": 4, "F16": 2, "BF16": 2}
TORCH_DTYPE = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}

SPECIAL_TOKENS = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>",
    "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_bos|>", "<|vision_eos|>",
    "<|vision_pad|>", "<|IMAGE|>", "<|VIDEO|>", "<tool_call>", "</tool_call>", "<|fim_prefix|>",
    "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>",
]  # fmt: skip
"""Added tokens in Qwen2.5-Omni's order; they take the ids right above the learned vocabulary."""

NOT_SPECIAL = {
    "<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>",
    "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>",
}  # fmt: skip
"""Added tokens that decoding keeps, since they are not marked special."""


@dataclass(frozen=True)
class ThinkerShape:
    """Everything that decides a Thinker's tensor shapes and constants. Defaults are the 3B's."""

    hidden: int = 2048
    layers: int = 36
    heads: int = 16
    kv_heads: int = 2
    inner: int = 11008
    rows: int = 151_936
    tied: bool = False
    rms_eps: float = 1e-6
    rope_theta: float = 1_000_000.0
    audio_width: int = 1280
    audio_layers: int = 32
    audio_heads: int = 20
    audio_inner: int = 5120
    vision: VisionShape | None = None

    @property
    def head_dim(self) -> int:
        return self.hidden // self.heads


@dataclass(frozen=True)
class VisionShape:
    """A vision tower that nothing here ever runs: weights a reader has to step over."""

    width: int = 8
    inner: int = 8
    patch: int = 2


@dataclass(frozen=True)
class Tensor:
    """One tensor: `scale` is the standard deviation, `around` the mean, and rows from
    `used_rows` on are drawn a thousand times smaller (embedding rows no token uses)."""

    name: str
    shape: tuple[int, ...]
    scale: float
    around: float = 0.0
    used_rows: int | None = None

    @property
    def count(self) -> int:
        return math.prod(self.shape)


def tensors(shape: ThinkerShape, used_rows: int, prefix: str = "") -> list[Tensor]:
    """Every tensor of a Thinker, under `prefix`, in the order the published files list them.

    `used_rows`: how many embedding rows have a token. Scales are wide on purpose. Queries and keys
    are drawn so that attention picks positions instead of averaging them, and embeddings small
    beside what the layers add, so that the pooled state says more about the input than about the
    newline it sits on.
    """
    out: list[Tensor] = []

    def matrix(name: str, rows: int, cols: int, gain: float = 1.0, bias: float = 0.0) -> None:
        out.append(Tensor(f"{prefix}{name}.weight", (rows, cols), gain / math.sqrt(cols)))
        if bias:
            out.append(Tensor(f"{prefix}{name}.bias", (rows,), bias))

    def norm(name: str, width: int, bias: bool) -> None:
        out.append(Tensor(f"{prefix}{name}.weight", (width,), 0.2, around=1.0))
        if bias:
            out.append(Tensor(f"{prefix}{name}.bias", (width,), 0.1))

    width = shape.audio_width
    for conv, channels in (("conv1", 128), ("conv2", width)):
        scale = 1.0 / math.sqrt(3 * channels)
        out.append(Tensor(f"{prefix}audio_tower.{conv}.weight", (width, channels, 3), scale))
        out.append(Tensor(f"{prefix}audio_tower.{conv}.bias", (width,), 0.1))
    out.append(Tensor(f"{prefix}audio_tower.audio_bos_eos_token.weight", (2, shape.hidden), 0.1))
    for i in range(shape.audio_layers):
        at = f"audio_tower.layers.{i}"
        norm(f"{at}.self_attn_layer_norm", width, bias=True)
        matrix(f"{at}.self_attn.q_proj", width, width, gain=1.5, bias=0.3)
        matrix(f"{at}.self_attn.k_proj", width, width, gain=1.5)
        matrix(f"{at}.self_attn.v_proj", width, width, bias=0.1)
        matrix(f"{at}.self_attn.out_proj", width, width, bias=0.1)
        norm(f"{at}.final_layer_norm", width, bias=True)
        matrix(f"{at}.fc1", shape.audio_inner, width, bias=0.1)
        matrix(f"{at}.fc2", width, shape.audio_inner, bias=0.1)
    norm("audio_tower.ln_post", width, bias=True)
    matrix("audio_tower.proj", shape.hidden, width, gain=0.3, bias=0.05)

    kv = shape.kv_heads * shape.head_dim
    table = (shape.rows, shape.hidden)
    out.append(Tensor(f"{prefix}model.embed_tokens.weight", table, 0.2, used_rows=used_rows))
    for i in range(shape.layers):
        at = f"model.layers.{i}"
        norm(f"{at}.input_layernorm", shape.hidden, bias=False)
        matrix(f"{at}.self_attn.q_proj", shape.hidden, shape.hidden, gain=1.5, bias=0.3)
        matrix(f"{at}.self_attn.k_proj", kv, shape.hidden, gain=1.5, bias=0.3)
        matrix(f"{at}.self_attn.v_proj", kv, shape.hidden, bias=0.1)
        matrix(f"{at}.self_attn.o_proj", shape.hidden, shape.hidden)
        norm(f"{at}.post_attention_layernorm", shape.hidden, bias=False)
        matrix(f"{at}.mlp.gate_proj", shape.inner, shape.hidden)
        matrix(f"{at}.mlp.up_proj", shape.inner, shape.hidden)
        matrix(f"{at}.mlp.down_proj", shape.hidden, shape.inner)
    norm("model.norm", shape.hidden, bias=False)
    if not shape.tied:
        scale = 1.0 / math.sqrt(shape.hidden)
        out.append(Tensor(f"{prefix}lm_head.weight", table, scale, used_rows=used_rows))
    if shape.vision is not None:
        out.extend(_vision_tensors(shape.vision, shape.hidden, prefix))
    return out


def _vision_tensors(vision: VisionShape, hidden: int, prefix: str) -> list[Tensor]:
    width, inner, patch = vision.width, vision.inner, vision.patch
    shapes = {
        "patch_embed.proj.weight": (width, 3, 2, patch, patch),
        "blocks.0.norm1.weight": (width,),
        "blocks.0.norm2.weight": (width,),
        "merger.ln_q.weight": (width,),
        "merger.mlp.0.weight": (4 * width, 4 * width),
        "merger.mlp.0.bias": (4 * width,),
        "merger.mlp.2.weight": (hidden, 4 * width),
        "merger.mlp.2.bias": (hidden,),
    }
    for name in ("attn.q", "attn.k", "attn.v", "attn.proj"):
        shapes[f"blocks.0.{name}.weight"] = (width, width)
        shapes[f"blocks.0.{name}.bias"] = (width,)
    for name, (rows, cols) in {
        "gate_proj": (inner, width),
        "up_proj": (inner, width),
        "down_proj": (width, inner),
    }.items():
        shapes[f"blocks.0.mlp.{name}.weight"] = (rows, cols)
        shapes[f"blocks.0.mlp.{name}.bias"] = (rows,)
    return [Tensor(f"{prefix}visual.{name}", dims, 0.05) for name, dims in shapes.items()]


def thinker_config(shape: ThinkerShape, ids: dict[str, int], dtype: str) -> dict:
    """`config.json` of a Thinker saved alone. `ids`: token -> id, with `user` among them."""
    half = shape.head_dim // 2
    section = [half // 4, (half - half // 4) // 2]  # sums to half a head, as rotary embedding wants
    section.append(half - sum(section))
    vision = shape.vision or VisionShape()
    return {
        "architectures": ["Qwen2_5OmniThinkerForConditionalGeneration"],
        "audio_config": {
            "activation_dropout": 0,
            "activation_function": "gelu",
            "attention_dropout": 0,
            "d_model": shape.audio_width,
            "dropout": 0,
            "encoder_attention_heads": shape.audio_heads,
            "encoder_ffn_dim": shape.audio_inner,
            "encoder_layers": shape.audio_layers,
            "initializer_range": 0.02,
            "max_source_positions": 1500,
            "model_type": "qwen2_5_omni_audio_encoder",
            "n_window": 100,
            "num_hidden_layers": shape.audio_layers,
            "num_mel_bins": 128,
            "output_dim": shape.hidden,
            "scale_embedding": False,
        },
        "audio_end_token_id": ids["<|audio_eos|>"],
        "audio_start_token_id": ids["<|audio_bos|>"],
        "audio_token_index": ids["<|AUDIO|>"],
        "bos_token_id": ids["<|im_start|>"],
        "dtype": TORCH_DTYPE[dtype],
        "eos_token_id": ids["<|im_end|>"],
        "image_token_index": ids["<|IMAGE|>"],
        "initializer_range": 0.02,
        "model_type": "qwen2_5_omni_thinker",
        "pad_token_id": ids["<|endoftext|>"],
        "position_id_per_seconds": 25,
        "seconds_per_chunk": 2,
        "text_config": {
            "attention_dropout": 0.0,
            "hidden_act": "silu",
            "hidden_size": shape.hidden,
            "initializer_range": 0.02,
            "intermediate_size": shape.inner,
            "layer_types": ["full_attention"] * shape.layers,
            "max_position_embeddings": 32768,
            "max_window_layers": shape.layers,
            "model_type": "qwen2_5_omni_text",
            "num_attention_heads": shape.heads,
            "num_hidden_layers": shape.layers,
            "num_key_value_heads": shape.kv_heads,
            "rms_norm_eps": shape.rms_eps,
            "rope_scaling": {
                "mrope_section": section,
                "rope_type": "default",
                "type": "default",
            },
            "rope_theta": shape.rope_theta,
            "sliding_window": None,
            "tie_word_embeddings": shape.tied,
            "use_cache": True,
            "use_sliding_window": False,
            "vocab_size": shape.rows,
        },
        "tie_word_embeddings": shape.tied,
        "transformers_version": "4.57.1",
        "user_token_id": ids["user"],
        "video_token_index": ids["<|VIDEO|>"],
        "vision_config": {
            "depth": 1,
            "embed_dim": vision.width,
            "fullatt_block_indexes": [0],
            "hidden_act": "silu",
            "hidden_size": vision.width,
            "in_channels": 3,
            "in_chans": 3,
            "initializer_range": 0.02,
            "intermediate_size": vision.inner,
            "model_type": "qwen2_5_omni_vision_encoder",
            "num_heads": 1,
            "out_hidden_size": shape.hidden,
            "patch_size": vision.patch,
            "spatial_merge_size": 2,
            "spatial_patch_size": vision.patch,
            "temporal_patch_size": 2,
            "tokens_per_second": 25,
            "window_size": 112,
        },
        "vision_end_token_id": ids["<|vision_eos|>"],
        "vision_start_token_id": ids["<|vision_bos|>"],
        "vision_token_id": ids["<|vision_pad|>"],
    }


def token_ids(folder: Path) -> dict[str, int]:
    """token -> id of a tokenizer folder, from its `tokenizer.json`."""
    file = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    ids = dict(file["model"]["vocab"])
    ids.update({token["content"]: token["id"] for token in file["added_tokens"]})
    return ids


def random_rows(tensor: Tensor, seed: int) -> Iterator[np.ndarray]:
    """The values of `tensor` as f32, flat, in chunks; the same for the same name and seed."""
    digest = hashlib.sha256(f"{seed}/{tensor.name}".encode()).digest()
    draw = np.random.Generator(np.random.SFC64(int.from_bytes(digest[:16], "little")))
    used = tensor.count
    if tensor.used_rows is not None:
        used = min(used, tensor.used_rows * tensor.shape[1])
    for start in range(0, tensor.count, CHUNK):
        stop = min(start + CHUNK, tensor.count)
        values = draw.standard_normal(stop - start, dtype=np.float32)
        values *= np.float32(tensor.scale)
        values[max(used - start, 0) :] *= np.float32(1e-3)
        values += np.float32(tensor.around)
        yield values


def encode(values: np.ndarray, dtype: str) -> bytes:
    """f32 values as little-endian bytes of `dtype`, rounded to nearest, ties to even."""
    if dtype == "F32":
        return values.astype("<f4").tobytes()
    if dtype == "F16":
        return values.astype("<f2").tobytes()
    bits = values.view(np.uint32)
    rounded = bits + (((bits >> np.uint32(16)) & np.uint32(1)) + np.uint32(0x7FFF))
    return (rounded >> np.uint32(16)).astype("<u2").tobytes()


@dataclass
class Shard:
    """Consecutive tensors of one safetensors file."""

    tensors: list[Tensor] = field(default_factory=list)
    bytes: int = 0


def write_sharded(
    folder: Path,
    all_tensors: list[Tensor],
    dtype: str,
    seed: int,
    max_shard_bytes: int,
    report=lambda line: None,
) -> list[Path]:
    """Writes `model.safetensors`, or numbered shards with their index where one is not enough."""
    shards = [Shard()]
    for tensor in all_tensors:
        size = tensor.count * BYTES[dtype]
        if shards[-1].tensors and shards[-1].bytes + size > max_shard_bytes:
            shards.append(Shard())
        shards[-1].tensors.append(tensor)
        shards[-1].bytes += size
    names = ["model.safetensors"]
    if len(shards) > 1:
        total = len(shards)
        names = [f"model-{i:05}-of-{total:05}.safetensors" for i in range(1, total + 1)]
    written = []
    for name, shard in zip(names, shards):
        report(f"{folder / name}: {shard.bytes / 1e9:.3f} GB")
        _write_file(folder / name, shard, dtype, seed)
        written.append(folder / name)
    if len(shards) > 1:
        index = {
            "metadata": {"total_size": sum(shard.bytes for shard in shards)},
            "weight_map": {t.name: name for name, s in zip(names, shards) for t in s.tensors},
        }
        write_json(folder / "model.safetensors.index.json", index)
    return written


def _write_file(path: Path, shard: Shard, dtype: str, seed: int) -> None:
    header: dict = {"__metadata__": {"format": "pt"}}
    at = 0
    for tensor in shard.tensors:
        end = at + tensor.count * BYTES[dtype]
        header[tensor.name] = {
            "dtype": dtype,
            "shape": list(tensor.shape),
            "data_offsets": [at, end],
        }
        at = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in shard.tensors:
            for values in random_rows(tensor, seed):
                file.write(encode(values, dtype))


def write_json(path: Path, value) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
