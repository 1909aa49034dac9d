"""Names of a GGUF file's tensors, and what transformers calls them."""

import re

# Architectures of GGUF files and transformers' names of them.
MODEL_TYPES = {
    "llama": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "gemma3": "gemma3_text",
    "gpt2": "gpt2",
}
_WHOLE = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}
_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_GEMMA3 = _LAYER | {
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
_GPT2_WHOLE = {
    "token_embd": "wte",
    "position_embd": "wpe",
    "output_norm": "ln_f",
    "output": "lm_head",
}
_GPT2 = {
    "attn_norm": "ln_1",
    "attn_qkv": "attn.c_attn",
    "attn_output": "attn.c_proj",
    "ffn_norm": "ln_2",
    "ffn_up": "mlp.c_fc",
    "ffn_down": "mlp.c_proj",
}


def hugging_face_name(architecture: str, name: str) -> str:
    """What transformers calls a tensor; its own name where there is none."""
    gpt2 = architecture == "gpt2"
    found = re.fullmatch(r"(?:blk\.(\d+)\.)?(\w+)\.(weight|bias)", name)
    if not found:
        return name
    layer, part, kind = found.groups()
    if layer is None:
        table = _GPT2_WHOLE if gpt2 else _WHOLE
        return f"{table[part]}.{kind}" if part in table else name
    table = _GPT2 if gpt2 else _LAYER
    table = _GEMMA3 if architecture == "gemma3" else table
    if part not in table:
        return name
    return f"{'h' if gpt2 else 'model.layers'}.{layer}.{table[part]}.{kind}"
