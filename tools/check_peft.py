"""Embeds two texts and a clip with an adapter as Python's peft loads it: do both read the same weights?

    python tools/check_peft.py ADAPTER_DIR BASE_DIR OUT.json [--sound FILE] [--text TEXT TEXT]

Writes the evaluation's embeddings, of the base alone, with the adapter beside the weights and merged
into them. Stops if peft finds tensors it has no place for or places it has no tensors for: both it would
pass over with a warning, and the embeddings would be those of half an adapter.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import torch
from peft import PeftModel
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file
from transformers.utils import logging

from checkpoint_layout import write_json
from released_path import EVAL, ReleasedPath, load_audio

SOUND = Path(__file__).resolve().parent.parent / "testdata" / "sounds" / "bell_2s.wav"
TEXTS = ["A dog barks in the distance and then thunder rumbles", "siren"]


def check_every_tensor(model: PeftModel, adapter: Path) -> int:
    """What peft holds must be what the file holds, by name and by value; returns how many."""
    held = get_peft_model_state_dict(model, save_embedding_layers=False)
    file = load_file(adapter / "adapter_model.safetensors")
    # A file for the parts an audio model has may leave the vision tower out.
    missing = sorted(k for k in held.keys() - file.keys() if ".visual." not in k)
    surplus = sorted(file.keys() - held.keys())
    if missing or surplus:
        raise SystemExit(f"not in the file: {missing}; no place for: {surplus}")
    for name, tensor in file.items():
        if not torch.equal(held[name].float(), tensor.float()):
            raise SystemExit(f"{name}: peft holds other numbers than the file")
    return len(file)


def main() -> None:
    logging.set_verbosity_error()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("adapter", type=Path, metavar="ADAPTER_DIR")
    parser.add_argument("base", type=Path, metavar="BASE_DIR")
    parser.add_argument("out", type=Path, metavar="OUT.json")
    parser.add_argument("--sound", type=Path, default=SOUND, help="default: a 2 s clip of ours")
    parser.add_argument("--text", nargs=2, default=TEXTS)
    given = parser.parse_args()

    path = ReleasedPath(given.base)
    prompts = [path.embedding_prompt(EVAL, [text], None) for text in given.text]
    prompts.append(path.embedding_prompt(EVAL, [None], [load_audio(given.sound)]))

    def embed() -> torch.Tensor:
        return torch.cat([path.embed(prompt) for prompt in prompts])

    base = embed()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        path.model = PeftModel.from_pretrained(path.model, given.adapter).eval()
    for warning in said:
        print(f"peft says: {warning.message}")
    tensors = check_every_tensor(path.model, given.adapter)
    beside = embed()
    path.model = path.model.merge_and_unload().eval()
    merged = embed()

    apart = float((beside - merged).abs().max())
    moved = [round(float(x), 6) for x in (base * merged).sum(dim=1)]
    config = json.loads((given.adapter / "adapter_config.json").read_text(encoding="utf-8"))
    inputs = [{"kind": "text", "text": text} for text in given.text]
    inputs.append({"kind": "audio", "file": given.sound.name})
    for about, prompt, *rows in zip(inputs, prompts, base, beside, merged):
        about.update(rendered=prompt.rendered[0], ids=prompt.ids[0].tolist())
        about.update(zip(("base", "adapter", "merged"), (row.tolist() for row in rows)))
    write_json(
        given.out,
        {
            "r": config["r"],
            "lora_alpha": config["lora_alpha"],
            "tensors": tensors,
            "merged_max_abs_diff": apart,
            "cosine_to_base": moved,
            "inputs": inputs,
        },
    )
    print(f"{tensors} tensors; merged differs by {apart:.2g}; cosines to the base alone {moved}")


if __name__ == "__main__":
    main()
