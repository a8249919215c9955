"""The released AuroLA path, step by step, on the processor and model classes it names.

    path ──► load_audio ──┐
    text ─────────────────┴──► conversation ──► Prompt (rendered, ids, mel) ──► forward ──► embedding
                                                                        └──► generate ──► yes/no, caption

What the released evaluation does (test_retrieval_hfmodel.py, test_rerank.py, demo/), on the CPU
and in f32: the slow tokenizer for retrieval, `<emb>` added to tokenizer and table if it is not
there, all hidden states returned, the first `<emb>` deciding the position. Re-ranking uses a
processor and a table without `<emb>` added, as its script does.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import librosa
import numpy as np
import torch
from transformers import AutoProcessor
from transformers import Qwen2_5OmniThinkerForConditionalGeneration as Thinker

SAMPLE_RATE = 16_000

EVAL, DEMO = "eval", "demo"
SUMMARY = {
    EVAL: {
        "audio": "\nSummarize above audio in one word: ",
        "text": "\nSummarize above sentence in one word: ",
        "audio_text": "\nSummarize above audio and sentence in one word: ",
    },
    DEMO: {
        "audio": "Summarize above audio in one word:",
        "text": "\nSummarize above sentence in one word:",
    },
}
JUDGE = (
    "I will provide you with a query and a candidate. "
    "Please evaluate whether the candidate matches the query. "
    "If it does, respond with 'Yes'; if it doesn't, respond with 'No'."
)
ASK_FOR_CAPTION = "Find a caption describing the sound events in the given audio."
ASK_FOR_AUDIO = "Find an audio containing the sound events in the following caption: "
CAPTION_INSTRUCTION = "Describe the sounds in this audio in one sentence."
"""Ours: the released code captions nothing."""

# The processor complains about every conversation without Qwen's own system turn.
logging.getLogger().addFilter(lambda record: "System prompt modified" not in record.getMessage())


@dataclass
class Prompt:
    """One or more rendered conversations and what the processor made of them."""

    rendered: list[str]
    inputs: dict[str, torch.Tensor]

    @property
    def ids(self) -> torch.Tensor:
        """`[batch, positions]`, left-padded."""
        return self.inputs["input_ids"]

    def mel(self) -> np.ndarray:
        """Log-mel of a single clip without its padding, `[128, frames]`."""
        frames = int(self.inputs["feature_attention_mask"].sum())
        return self.inputs["input_features"][0, :, :frames].numpy()


def load_audio(path: Path) -> np.ndarray:
    """Mono, 16 kHz: what `process_mm_info` does for a local file."""
    return librosa.load(path, sr=SAMPLE_RATE)[0]


def audio_part() -> dict:
    return {"type": "audio", "audio": "clip"}  # the template looks at the type only


def text_part(text: str) -> dict:
    return {"type": "text", "text": text}


def embedding_conversation(preset: str, text: str | None, audio: bool) -> list[dict]:
    """What is asked of the model about a text, a clip, or both."""
    summary = SUMMARY[preset]
    if audio and text is not None:
        asked = [audio_part(), text_part(text), text_part(summary["audio_text"])]
    elif audio:
        asked = [audio_part(), text_part(summary["audio"])]
    else:
        asked = [text_part(f"{text}{summary['text']}")]
    answer = {"role": "assistant", "content": [text_part("<emb>.")]}
    return [{"role": "user", "content": asked}, answer]


def rerank_conversation(direction: str, text: str) -> list[dict]:
    """`direction`: `audio2text` (query: the clip) or `text2audio` (query: the caption)."""
    if direction == "audio2text":
        query = [audio_part(), text_part(ASK_FOR_CAPTION)]
        candidate = [text_part(text)]
    else:
        query, candidate = [text_part(ASK_FOR_AUDIO + text)], [audio_part()]
    asked = [text_part(JUDGE), text_part("Query:"), *query, text_part("Candidate:"), *candidate]
    return [{"role": "user", "content": asked}]


def caption_conversation(instruction: str = CAPTION_INSTRUCTION) -> list[dict]:
    return [{"role": "user", "content": [audio_part(), text_part(instruction)]}]


class ReleasedPath:
    """A checkpoint folder, loaded as the released scripts load it. `adapter`: merged if given."""

    def __init__(
        self,
        folder: Path,
        adapter: Path | None = None,
        dtype: torch.dtype = torch.float32,
        add_emb: bool = True,
        slow_tokenizer: bool = True,
    ) -> None:
        self.processor = AutoProcessor.from_pretrained(folder, use_fast=not slow_tokenizer)
        self.tokenizer = self.processor.tokenizer
        self.model = Thinker.from_pretrained(folder, dtype=dtype)
        if adapter is not None:
            from peft import PeftModel

            self.model = PeftModel.from_pretrained(self.model, adapter).merge_and_unload()
        self.model.eval()
        self.tokens_before_emb = len(self.tokenizer)
        self.emb_id = None
        if add_emb:
            if self.tokenizer.add_tokens(["<emb>"]) > 0:
                self.model.resize_token_embeddings(len(self.tokenizer))
            self.emb_id = self.tokenizer.convert_tokens_to_ids("<emb>")

    def prompt(
        self, conversations: list[list[dict]], audio: list[np.ndarray] | None, generation: bool
    ) -> Prompt:
        """`generation`: whether the prompt ends by opening the assistant's turn."""
        rendered = self.processor.apply_chat_template(
            conversations, tokenize=False, add_generation_prompt=generation
        )
        inputs = self.processor(
            text=rendered,
            audio=audio,
            return_tensors="pt",
            padding=True,
            use_audio_in_video=False,
        )
        inputs = dict(inputs)
        if "input_features" in inputs:
            inputs["input_features"] = inputs["input_features"].to(self.model.dtype)
        return Prompt(rendered, inputs)

    def embedding_prompt(
        self, preset: str, texts: list[str | None], audio: list[np.ndarray] | None
    ) -> Prompt:
        """Evaluation opens a second assistant's turn that nothing reads; the demo does not."""
        conversations = [embedding_conversation(preset, t, audio is not None) for t in texts]
        return self.prompt(conversations, audio, generation=preset == EVAL)

    @torch.inference_mode()
    def hidden_states(self, prompt: Prompt) -> torch.Tensor:
        """`[layers + 1, batch, positions, hidden]`: what enters each layer, and the normed end."""
        out = self.model(**prompt.inputs, output_hidden_states=True, return_dict=True)
        return torch.stack(out.hidden_states).float()

    def emb_positions(self, ids: torch.Tensor) -> torch.Tensor:
        """Where the released path finds `<emb>`: the first one, even one inside a caption."""
        return torch.argmax((ids == self.emb_id).int(), dim=1)

    def embed(self, prompt: Prompt) -> torch.Tensor:
        """Unit-length embeddings, `[batch, hidden]`."""
        last = self.hidden_states(prompt)[-1]
        at = self.emb_positions(prompt.ids)
        return torch.nn.functional.normalize(last[torch.arange(len(at)), at - 1], dim=-1)

    @torch.inference_mode()
    def tower(self, prompt: Prompt) -> np.ndarray:
        """The audio tower's output for the clips of `prompt`, one after the other."""
        out = self.model.get_audio_features(
            prompt.inputs["input_features"], prompt.inputs["feature_attention_mask"]
        )
        return out.float().numpy()

    def yes_no_ids(self) -> tuple[int, int]:
        return tuple(
            self.tokenizer(word, add_special_tokens=False).input_ids[0] for word in ("Yes", "No")
        )

    @torch.inference_mode()
    def generate(self, prompt: Prompt, tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Greedy: the new ids `[batch, n]` and the raw logits that chose them `[n, batch, rows]`."""
        out = self.model.generate(
            **prompt.inputs,
            max_new_tokens=tokens,
            do_sample=False,
            output_scores=True,
            return_dict_in_generate=True,
        )
        return out.sequences[:, prompt.ids.shape[1] :], torch.stack(out.scores).float()

    def yes_no_logits(self, prompt: Prompt) -> torch.Tensor:
        """`[batch, 2]`: the logits of Yes and of No as the first generated token."""
        scores = self.generate(prompt, 1)[1][0]
        return scores[:, list(self.yes_no_ids())]
