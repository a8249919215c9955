"""The words of the fixtures: captions, a tokenizer learned from them, chat templates, processors.

    captions() ──► learn() ──► tokenizer.json, vocab.json, merges.txt, ...
    TEMPLATE, SUMMARY_TEMPLATE ──► chat_template.{jinja,json}

Everything is composed here; no text, vocabulary or template of a published model is used. The
tokenizer has Qwen2.5-Omni's construction (NFC, its splitting expression, byte-level BPE, its added
tokens in its order), only a smaller vocabulary.
"""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers, trainers
from transformers import Qwen2TokenizerFast, Qwen2VLImageProcessor, Qwen2VLVideoProcessor
from transformers import WhisperFeatureExtractor
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

from checkpoint_layout import NOT_SPECIAL, SPECIAL_TOKENS, write_json

LEARNED = 500
"""Vocabulary below the added tokens: 256 bytes and 244 merges, too few for whole words."""

TEMPLATE = r"""
{#- One turn per message. Without a system turn of its own, a conversation gets the default one. -#}
{%- if messages[0]['role'] != 'system' -%}
  {{- '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' -}}
{%- endif -%}
{%- for message in messages -%}
  {{- '<|im_start|>' + message['role'] + '\n' -}}
  {%- if message['content'] is string -%}
    {{- message['content'] -}}
  {%- else -%}
    {%- for part in message['content'] -%}
      {%- if part['type'] == 'audio' -%}
        {{- '<|audio_bos|><|AUDIO|><|audio_eos|>' -}}
      {%- elif part['type'] == 'image' -%}
        {{- '<|vision_bos|><|IMAGE|><|vision_eos|>' -}}
      {%- elif part['type'] == 'video' -%}
        {{- '<|vision_bos|><|VIDEO|><|vision_eos|>' -}}
      {%- elif 'text' in part -%}
        {{- part['text'] -}}
      {%- endif -%}
    {%- endfor -%}
  {%- endif -%}
  {{- '<|im_end|>\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
  {{- '<|im_start|>assistant\n' -}}
{%- endif -%}
""".strip()
"""Renders the conversations of the released path to the prompts of the published template."""

SUMMARY_TEMPLATE = r"""
{#- An embedder's template: it asks for the summary itself, so callers pass bare text or audio. -#}
{%- for message in messages -%}
  {{- '<|im_start|>' + message['role'] + '\n' -}}
  {%- set kind = namespace(name='text') -%}
  {%- for part in message['content'] -%}
    {%- if part['type'] == 'audio' -%}
      {%- set kind.name = 'audio' -%}
      {{- '<|audio_bos|><|AUDIO|><|audio_eos|>' -}}
    {%- else -%}
      {{- part['text'] -}}
    {%- endif -%}
  {%- endfor -%}
  {%- if message['role'] == 'user' -%}
    {{- '\nSummarize the above ' + kind.name + ' in one word:' -}}
  {%- endif -%}
  {{- '<|im_end|>\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
  {{- '<|im_start|>assistant\n' -}}
{%- endif -%}
""".strip()
"""For the sentence-transformers folder: no default system turn, the instruction in the template."""


def captions(count: int = 4000) -> list[str]:
    """Sentences about sounds, put together from word lists; the same on every run."""
    pick = random.Random(20_261_123).choice
    sources = (
        "a dog|an old car|a small bird|heavy rain|a church bell|a crowd|the wind|a train|a woman|"
        "a man|an alarm clock|a siren|a wooden door|a cat|a helicopter|a guitar|thunder|a kettle"
    ).split("|")
    actions = (
        "barks|rattles|sings|falls on a tin roof|rings|cheers|howls|passes by|speaks|laughs|beeps|"
        "wails|creaks|meows|hovers overhead|plays a slow melody|rumbles|whistles|clicks|fades out"
    ).split("|")
    places = (
        "in the distance|close by|in a large hall|near a road|at night|on the street|in a forest|"
        "while people are talking|as water is dripping|over background noise|again and again"
    ).split("|")
    joins = "and then|while|as|before|followed by the sound that|but".split("|")
    lines = []
    for _ in range(count):
        line = f"{pick(sources)} {pick(actions)} {pick(places)}"
        if pick((True, False)):
            line += f" {pick(joins)} {pick(sources)} {pick(actions)}"
        lines.append(line[0].upper() + line[1:] + pick(("", ".", ", twice.")))
    return lines


def _corpus() -> list[str]:
    frames = [
        "system\nYou are a helpful assistant.",
        "user\nSummarize above sentence in one word: ",
        "user\nSummarize above audio in one word: ",
        "assistant\n.",
        "Query:Candidate:",
        "Yes",
        "No",
    ]
    return captions() + frames * 300


def learn(folder: Path, with_emb: bool) -> None:
    """Learns the tokenizer and writes its files. `with_emb`: `<emb>` is part of the vocabulary."""
    bpe = Tokenizer(models.BPE())
    bpe.normalizer = normalizers.NFC()
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=LEARNED, initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(_corpus(), trainer)
    learned = bpe.get_vocab()
    lacking = {"Yes", "No", "user"} - learned.keys()
    if len(learned) != LEARNED or lacking:
        raise SystemExit(f"learned {len(learned)} tokens of {LEARNED}, without {lacking or 'gaps'}")
    with tempfile.TemporaryDirectory() as scratch:
        vocab, merges = bpe.model.save(scratch)
        tokenizer = Qwen2TokenizerFast(
            vocab_file=vocab,
            merges_file=merges,
            unk_token=None,
            bos_token=None,
            eos_token="<|im_end|>",
            pad_token="<|endoftext|>",
            model_max_length=32768,
            extra_special_tokens={
                "audio_token": "<|AUDIO|>",
                "audio_bos_token": "<|audio_bos|>",
                "audio_eos_token": "<|audio_eos|>",
                "image_token": "<|IMAGE|>",
                "video_token": "<|VIDEO|>",
                "vision_bos_token": "<|vision_bos|>",
                "vision_eos_token": "<|vision_eos|>",
            },
        )
        _reorder(tokenizer, with_emb, folder, Path(vocab), Path(merges))


def _reorder(
    first: Qwen2TokenizerFast, with_emb: bool, folder: Path, vocab: Path, merges: Path
) -> None:
    """Saves `first` with its added tokens in Qwen's order instead of the constructor's."""
    folder.mkdir(parents=True, exist_ok=True)
    first.save_pretrained(folder)
    tokens = SPECIAL_TOKENS + (["<emb>"] if with_emb else [])
    added = [
        AddedToken(text, special=text not in NOT_SPECIAL and text != "<emb>", normalized=False)
        for text in tokens
    ]
    ids = {token.content: LEARNED + i for i, token in enumerate(added)}

    def described(token: AddedToken) -> dict:
        return {
            "content": token.content,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            # `add_tokens` of the released path leaves `<emb>` subject to normalisation.
            "normalized": token.content == "<emb>",
            "special": token.special,
        }

    path = folder / "tokenizer.json"
    file = json.loads(path.read_text(encoding="utf-8"))
    file["added_tokens"] = [{"id": ids[t.content], **described(t)} for t in added]
    write_json(path, file)
    path = folder / "tokenizer_config.json"
    file = json.loads(path.read_text(encoding="utf-8"))
    file["added_tokens_decoder"] = {str(ids[t.content]): described(t) for t in added}
    write_json(path, file)
    write_json(folder / "added_tokens.json", ids)
    (folder / "vocab.json").write_bytes(vocab.read_bytes())
    text = merges.read_text(encoding="utf-8")
    if not text.startswith("#version"):
        text = "#version: 0.2\n" + text
    (folder / "merges.txt").write_text(text, encoding="utf-8")


def write_processor(folder: Path, template: str, forms: tuple[str, ...]) -> None:
    """Writes everything `AutoProcessor` reads beside the tokenizer already in `folder`.

    `forms`: which of `jinja` and `json` hold the chat template; published folders have either.
    """
    sound = WhisperFeatureExtractor(
        feature_size=128, chunk_length=300, return_attention_mask=True
    )
    image = Qwen2VLImageProcessor(min_pixels=3136, max_pixels=12_845_056).to_dict()
    kept = "image_mean image_processor_type image_std merge_size patch_size temporal_patch_size"
    # One file for both front ends, as published. Saving a processor today would drop the image half.
    both = {key: image[key] for key in kept.split()} | {"min_pixels": 3136, "max_pixels": 12_845_056}
    both |= sound.to_dict() | {"processor_class": "Qwen2_5OmniProcessor"}
    write_json(folder / "preprocessor_config.json", {k: both[k] for k in sorted(both) if k[0] != "_"})
    write_json(
        folder / "video_preprocessor_config.json",
        dict(sorted(json.loads(Qwen2VLVideoProcessor().to_json_string()).items())),
    )
    if "jinja" in forms:
        (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    if "json" in forms:
        write_json(folder / "chat_template.json", {"chat_template": template})
