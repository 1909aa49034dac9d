"""Options of `list`."""

from dataclasses import dataclass
from typing import Literal

from tyro.conf import Positional

from tf_tokenrl.options.checking import Options

Family = Literal["rewards", "algorithms", "tasks", "schedules"]


@dataclass(frozen=True)
class ListOptions(Options):
    """What there is to choose from.

    Attributes:
        family: what to list.
        name: a member to explain; all are named by default.
    """

    family: Positional[Family] = "rewards"
    name: Positional[str] = ""
