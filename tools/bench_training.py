"""Times contrastive training steps of a random Thinker: what PyTorch needs for a step of a given shape.

    python tools/bench_training.py [--threads N] [--steps N] [--dtype f32 bf16] [--batch N] [SHAPE]...

Prints one JSON object per line: the shape, then for each type the median step in wall and CPU seconds
and the peak memory of the process so far. A step: log-mel (random) and captions (random ids) through
both towers, symmetric InfoNCE at 0.05 over the batch, backward, AdamW on every weight but the vision
tower's and the output head. `bf16` is autocast over f32 weights, as mixed precision is trained.

Python is given its best form, not the released one: every clip and every caption is as long as its
neighbour, so nothing is padded and attention needs no mask; the output head is not run and hidden states
of layers are not kept; the audio tower takes `--tower-clips` at a time, since transformers lets all clips
of a call attend to one another and then masks that out. `--released` takes all three back: one call per
side with a mask, all states, the head. Neither counts decoding, log-mel or tokens, and neither compiles.
Which attention and how many clips a call are fastest depends on type and machine: report the best of
`--attention sdpa|eager` and `--tower-clips 1|2|4`.
The types train on in one process: for the memory of one alone, name that one only.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import time

SHAPE = {
    "audio_width": 192, "audio_layers": 4, "audio_heads": 4, "audio_inner": 768,
    "hidden": 256, "layers": 4, "heads": 4, "kv_heads": 2, "inner": 768, "rows": 4096,
}  # fmt: skip
BATCH = {"batch": 48, "seconds": 4.0, "audio_extra": 20, "text_tokens": 40}
"""Pairs; length of a clip; positions of a prompt around its audio tokens; positions of a caption's."""


def say(**about) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({**about, "peak_gib": round(peak / 2**30, 3)}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in {**SHAPE, **BATCH}.items():
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=type(default), default=default, help=f"default: {default}")
    parser.add_argument("--dtype", nargs="+", choices=("f32", "bf16"), default=["f32", "bf16"])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--warm-up", type=int, default=1)
    parser.add_argument("--tower-clips", type=int, default=1, help="clips per call of the tower")
    parser.add_argument("--attention", choices=("sdpa", "eager"), default="sdpa")
    parser.add_argument("--released", action="store_true", help="as the released code calls it")
    given = parser.parse_args()

    # Read by the numeric libraries as they are loaded, so set before the imports below.
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(given.threads)
    import torch
    from transformers import Qwen2_5OmniThinkerConfig as Config
    from transformers import Qwen2_5OmniThinkerForConditionalGeneration as Thinker
    from transformers.utils import logging

    from checkpoint_layout import SPECIAL_TOKENS, ThinkerShape, thinker_config
    from make_losses import InfoNce, info_nce

    logging.set_verbosity_error()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)

    ids = {token: given.rows - 64 + i for i, token in enumerate(SPECIAL_TOKENS)}
    shape = ThinkerShape(**{name: getattr(given, name) for name in SHAPE})
    config = Config(**thinker_config(shape, {**ids, "user": 0}, "F32"))
    model = Thinker._from_config(config, attn_implementation=given.attention).train()
    model.visual.requires_grad_(False)
    model.lm_head.requires_grad_(False)
    trained = [weight for weight in model.parameters() if weight.requires_grad]

    frames = round(given.seconds * 100)
    tokens = ((frames - 1) // 2 + 1) // 2
    mel = torch.randn(given.batch, 128, frames)
    words = given.rows - 64  # below the added tokens
    audio_ids = torch.randint(words, (given.batch, tokens + given.audio_extra))
    audio_ids[:, given.audio_extra // 2 : given.audio_extra // 2 + tokens] = ids["<|AUDIO|>"]
    text_ids = torch.randint(words, (given.batch, given.text_tokens))
    say(
        task="shape",
        **{name: getattr(given, name) for name in {**SHAPE, **BATCH}},
        trained=sum(weight.numel() for weight in trained),
        audio_positions=audio_ids.shape[1],
        threads=given.threads,
        form="released" if given.released else "fastest",
        tower_clips=given.batch if given.released else given.tower_clips,
        attention=given.attention,
        torch=torch.__version__,
    )

    def released(ids: torch.Tensor, **audio) -> torch.Tensor:
        mask = torch.ones_like(ids)
        out = model(input_ids=ids, attention_mask=mask, output_hidden_states=True, **audio)
        return out.hidden_states[-1][:, -1]

    def last_states(embedded: torch.Tensor) -> torch.Tensor:
        return model.model(inputs_embeds=embedded, use_cache=False).last_hidden_state[:, -1]

    def both_sides() -> tuple[torch.Tensor, torch.Tensor]:
        if given.released:
            heard = torch.ones(given.batch, frames, dtype=torch.long)
            audio = released(audio_ids, input_features=mel, feature_attention_mask=heard)
            return audio, released(text_ids)
        outputs = []
        for clips in mel.split(given.tower_clips):
            lengths = torch.full((len(clips),), frames)
            columns = clips.transpose(0, 1).reshape(128, -1)
            out = model.audio_tower(columns, feature_lens=lengths, aftercnn_lens=(lengths - 1) // 2 + 1)
            outputs.append(out.last_hidden_state)
        embedded = model.get_input_embeddings()(audio_ids)
        heard = torch.cat(outputs).to(embedded.dtype)
        at = (audio_ids == ids["<|AUDIO|>"]).unsqueeze(-1).expand_as(embedded)
        audio = last_states(embedded.masked_scatter(at, heard))
        return audio, last_states(model.get_input_embeddings()(text_ids))

    def step(optimizer: torch.optim.Optimizer, bf16: bool) -> float:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            states = both_sides()
        audio, text = (torch.nn.functional.normalize(side.float(), dim=-1) for side in states)
        loss = info_nce(audio @ text.T, InfoNce(direction="symmetric"))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    for dtype in given.dtype:
        optimizer = torch.optim.AdamW(trained, lr=1e-5, fused=True)
        wall, cpu, losses = [], [], []
        for i in range(given.warm_up + given.steps):
            wall_start, cpu_start = time.perf_counter(), time.process_time()
            losses.append(step(optimizer, dtype == "bf16"))
            if i >= given.warm_up:
                wall.append(time.perf_counter() - wall_start)
                cpu.append(time.process_time() - cpu_start)
        say(
            task="step",
            dtype=dtype,
            wall_s=round(statistics.median(wall), 4),
            wall_min_s=round(min(wall), 4),
            wall_max_s=round(max(wall), 4),
            cpu_s=round(statistics.median(cpu), 4),
            steps=given.steps,
            first_loss=round(losses[0], 5),
            last_loss=round(losses[-1], 5),
        )


if __name__ == "__main__":
    main()
