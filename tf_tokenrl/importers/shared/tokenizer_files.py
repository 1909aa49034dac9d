"""Tokenizers of Hugging Face folders, as `PretrainedTokenizer`s."""

import base64
import json
from pathlib import Path
from typing import Any

import tokenizers

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.text.pretrained.tokenizer import PretrainedTokenizer

_ROLES = ("bos", "eos", "pad", "unk", "cls", "sep", "mask")
_PROTOS = ("tokenizer.model", "spiece.model")


def read(folder: str | Path) -> PretrainedTokenizer | None:
    """The tokenizer of a folder; None where its kind is left to KerasHub.

    Read are `tokenizer.json`, or `vocab.json` with `merges.txt`, `vocab.txt`
    or a SentencePiece model, and of `tokenizer_config.json` the special
    tokens, the chat template and whether text gets a start token.

    Raises:
        TokenRLError: a file cannot be read, or sets what is not known here.
    """
    folder = Path(folder)
    config = json_file(folder / "tokenizer_config.json")
    definition = _definition(folder, config)
    if definition is None or definition["model"]["type"] == "Unigram":
        return None
    special = _special(folder, config)
    _add_special(definition, special)
    return PretrainedTokenizer(
        json.dumps(definition, ensure_ascii=False),
        special,
        starts=_starts(config, definition, special),
        chat_template=_chat_template(folder, config),
    )


def json_file(path: Path) -> dict[str, Any]:
    """A JSON file's object; {} where there is no such file.

    Raises:
        TokenRLError: it is not JSON, or not an object.
    """
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text("utf-8"))
        if not isinstance(found, dict):
            raise ValueError("it is not an object")
    except (OSError, ValueError) as error:
        raise TokenRLError(
            f'Cannot read "{path}" ({error}): copy the model\'s folder again.'
        ) from error
    return found


def _definition(folder: Path, config: dict) -> dict | None:
    whole = json_file(folder / "tokenizer.json")
    if whole:
        return whole
    if (folder / "vocab.json").is_file():
        return _byte_level(folder, config)
    if (folder / "vocab.txt").is_file():
        return _word_piece(folder, config)
    for name in _PROTOS:
        if (folder / name).is_file():
            encoded = base64.b64encode((folder / name).read_bytes())
            model = {"type": "SentencePiece", "proto": encoded.decode()}
            return {"model": model, "added_tokens": []}
    return None


def _byte_level(folder: Path, config: dict) -> dict:
    files = str(folder / "vocab.json"), str(folder / "merges.txt")
    try:
        model = tokenizers.models.BPE.from_file(*files)
    except Exception as error:  # the package raises nothing finer
        raise TokenRLError(
            f'Cannot read the tokenizer of "{folder}": {error}'
        ) from error
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(
        add_prefix_space=bool(config.get("add_prefix_space", False))
    )
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    return json.loads(tokenizer.to_str())


def _word_piece(folder: Path, config: dict) -> dict:
    words = (folder / "vocab.txt").read_text("utf-8").split("\n")
    vocabulary = {w.rstrip("\r"): i for i, w in enumerate(words) if w}
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.WordPiece(
            vocabulary, unk_token=_text(config.get("unk_token")) or "[UNK]"
        )
    )
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer(
        lowercase=bool(config.get("do_lower_case", True)),
        strip_accents=config.get("strip_accents"),
        handle_chinese_chars=config.get("tokenize_chinese_chars", True),
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    return json.loads(tokenizer.to_str())


def _special(folder: Path, config: dict) -> dict[str, str]:
    given = json_file(folder / "special_tokens_map.json") | config
    if (folder / "vocab.txt").is_file():
        bert = {"unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "pad": "[PAD]"}
        given = {f"{k}_token": v for k, v in bert.items()} | given
    roles = {f"{role}_token": given.get(f"{role}_token") for role in _ROLES}
    return {k: text for k, v in roles.items() if (text := _text(v))}


def _text(token: Any) -> str | None:
    """A token as a text, whichever way the file writes it."""
    return token.get("content") if isinstance(token, dict) else token


def _add_special(definition: dict, special: dict[str, str]) -> None:
    """Let tokens that have a role be control tokens of the definition."""
    added = definition.setdefault("added_tokens", None) or []
    definition["added_tokens"] = added
    names = {token["content"] for token in added}
    vocabulary = definition["model"].get("vocab", {})
    for name in sorted(set(special.values()) - names):
        if name in vocabulary:
            token = {"id": vocabulary[name], "content": name, "special": True}
            added.append(token)
    known = {token["content"] for token in added} | set(vocabulary)
    for role, name in list(special.items()):
        if definition["model"]["type"] != "SentencePiece" and (
            name not in known
        ):
            del special[role]  # named, but not in the vocabulary


def _starts(config: dict, definition: dict, special: dict) -> bool:
    """Whether text gets a start token: by the files, else by their kind."""
    start = special.get("bos_token")
    if start is None:
        return False
    if config.get("add_bos_token") is not None:
        return bool(config["add_bos_token"])
    if definition["model"]["type"] == "SentencePiece":
        return True
    steps = definition.get("post_processor") or {}
    return any(
        "SpecialToken" in part and part["SpecialToken"]["id"] == start
        for step in steps.get("processors", [steps])
        for part in (step.get("single") or [])[:1]
    )


def _chat_template(folder: Path, config: dict) -> str | None:
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text("utf-8")
    given = config.get("chat_template")
    if isinstance(given, list):  # several by name
        named = {row["name"]: row["template"] for row in given}
        return named.get("default")
    return given
