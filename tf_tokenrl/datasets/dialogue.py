"""Dialogues as rows: what was said so far, and what is said next.

    {"messages": [{"role": "user", "content": "Hi."},
                  {"role": "assistant", "content": "Hello!"}]}

A row with `messages` asks for its last message by an assistant. A row with
`dialogue`, turns in a list or in a text with __eou__ after each as DailyDialog
has them, becomes a row for each turn but the first; all of them are a group.
`chosen` and `rejected` are two dialogues of a preference, as in HH-RLHF.
"""

import re
from collections.abc import Iterator

from tf_tokenrl.errors import TokenRLError

END_OF_UTTERANCE = "__eou__"
_TURN = re.compile(r"\n\n(?=(?:Human|Assistant):)")
GROUP = "group"


def expand(row: dict, number: int, place: str) -> Iterator[dict]:
    """The rows that a row of dialogue stands for; any other row as it is.

    Args:
        row: of a source.
        number: of the row, which names the group.
        place: where it stands, to begin a sentence with.

    Raises:
        TokenRLError: messages without role or content, or none that an
            assistant wrote.
    """
    if "source" in row:
        yield row
    elif isinstance(row.get("messages"), list):
        yield _of_messages(row, place)
    elif "dialogue" in row or "dialog" in row:
        yield from _of_turns(row, number)
    else:
        yield row


def pair(chosen: str, rejected: str) -> tuple[str, str, str]:
    """The prompt that two dialogues share, and how each goes on.

    The prompt ends where a turn begins: at the turn in which they part.
    prompt + answer is the dialogue, for both.
    """
    places = [0, *(m.end() for m in _TURN.finditer(chosen))]
    shared = [p for p in places if chosen[:p] == rejected[:p]]
    end = 0
    for place in shared:
        # The name of the speaker belongs to the prompt where both have it.
        name = re.match(r"(?:Human|Assistant):", chosen[place:])
        after = place + len(name[0]) if name else place
        end = after if chosen[:after] == rejected[:after] else place
    return chosen[:end], chosen[end:], rejected[end:]


def _of_messages(row: dict, place: str) -> dict:
    messages = row["messages"]
    whole = all(
        isinstance(m, dict)
        and isinstance(m.get("role"), str)
        and isinstance(m.get("content"), str)
        for m in messages
    )
    if not messages or not whole:
        raise TokenRLError(
            f"{place} has messages without the texts role and content; write "
            'each as {"role": "user", "content": "..."}.'
        )
    *before, last = messages
    if last["role"] != "assistant":
        before, last = messages, None
    made = {k: v for k, v in row.items() if k != "messages"}
    made["source"] = "\n".join(f"{m['role']}: {m['content']}" for m in before)
    if last is not None:
        made["target"] = last["content"]
    return made


def _of_turns(row: dict, number: int) -> Iterator[dict]:
    field = "dialogue" if "dialogue" in row else "dialog"
    turns = row[field]
    if isinstance(turns, str):
        turns = turns.split(END_OF_UTTERANCE)
    turns = [str(turn).strip() for turn in turns if str(turn).strip()]
    rest = {k: v for k, v in row.items() if k != field}
    name = str(row.get(GROUP, row.get("key", number)))
    for count in range(1, len(turns)):
        yield rest | {
            "source": "\n".join(turns[:count]),
            "target": turns[count],
            "key": f"{name}-{count}",
            GROUP: name,
        }
