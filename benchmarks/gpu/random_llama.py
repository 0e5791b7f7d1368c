"""Makes a Llama of 8 B random parameters in its true layout: for measurements on a GPU host that reaches no model hub.

    python benchmarks/gpu/random_llama.py --out FOLDER --tokenizer MODEL_FOLDER

Needs torch with CUDA and safetensors. The weights are 15 GB of noise in 8 shards: speed is that of a true model of this
shape, the answers are nonsense. MODEL_FOLDER is the demo's model, whose tokenizer is used.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file

HIDDEN, INNER, LAYERS, HEADS, KV_HEADS = 4096, 14336, 32, 32, 8
HEAD_DIM = HIDDEN // HEADS
SHARDS = 8
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "generation_config.json")


def config(tokenizer: Path) -> dict[str, object]:
    ids = json.loads((tokenizer / "generation_config.json").read_text())
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "max_position_embeddings": 8192,
        "num_attention_heads": HEADS,
        "num_hidden_layers": LAYERS,
        "num_key_value_heads": KV_HEADS,
        "rms_norm_eps": 1e-05,
        "rope_theta": 500000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "vocab_size": json.loads((tokenizer / "config.json").read_text())["vocab_size"],
        **ids,
    }


def layer(number: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The tensors of one layer, by name and shape."""
    under = f"model.layers.{number}"
    yield f"{under}.input_layernorm.weight", (HIDDEN,)
    yield f"{under}.post_attention_layernorm.weight", (HIDDEN,)
    for name, rows in (("q", HEADS), ("k", KV_HEADS), ("v", KV_HEADS)):
        yield f"{under}.self_attn.{name}_proj.weight", (rows * HEAD_DIM, HIDDEN)
    yield f"{under}.self_attn.o_proj.weight", (HIDDEN, HEADS * HEAD_DIM)
    yield f"{under}.mlp.gate_proj.weight", (INNER, HIDDEN)
    yield f"{under}.mlp.up_proj.weight", (INNER, HIDDEN)
    yield f"{under}.mlp.down_proj.weight", (HIDDEN, INNER)


def shards(vocabulary: int) -> Iterator[list[tuple[str, tuple[int, ...]]]]:
    each = LAYERS // SHARDS
    for shard in range(SHARDS):
        tensors = [tensor for number in range(shard * each, (shard + 1) * each) for tensor in layer(number)]
        if shard == 0:
            tensors.append(("model.embed_tokens.weight", (vocabulary, HIDDEN)))
        if shard == SHARDS - 1:
            tensors += [("model.norm.weight", (HIDDEN,)), ("lm_head.weight", (vocabulary, HIDDEN))]
        yield tensors


def values(shape: tuple[int, ...]) -> torch.Tensor:
    if len(shape) == 1:
        return torch.ones(shape, dtype=torch.bfloat16)
    return (torch.randn(shape, device="cuda", dtype=torch.bfloat16) * 0.02).cpu()


def main() -> None:
    parser = argparse.ArgumentParser(description="Make a Llama of 8 B random parameters.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True)
    made = config(options.tokenizer)
    for name in TOKENIZER:
        shutil.copyfile(options.tokenizer / name, options.out / name)
    torch.manual_seed(7)
    where, size = {}, 0
    for number, tensors in enumerate(shards(int(made["vocab_size"])), 1):
        file = f"model-{number:05}-of-{SHARDS:05}.safetensors"
        shard = {name: values(shape) for name, shape in tensors}
        save_file(shard, options.out / file, metadata={"format": "pt"})
        where |= dict.fromkeys(shard, file)
        size += sum(tensor.nbytes for tensor in shard.values())
    index = {"metadata": {"total_size": size}, "weight_map": where}
    (options.out / "model.safetensors.index.json").write_text(json.dumps(index))
    (options.out / "config.json").write_text(json.dumps(made, indent=2))
    print(f"{options.out}: {size / 1e9:.1f} GB in {SHARDS} shards")


if __name__ == "__main__":
    main()
