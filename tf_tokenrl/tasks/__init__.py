"""What is asked and what good answers look like: one file per task.

    task = rl.tasks.get("headline", data="docstrings")
    task.examples("test")[0]

    Example(
        prompt="def area(width, height) Multiplies the two sides, which must "
        "be in the same unit. Returns: The area in that unit, squared.",
        references=("Compute the area of a rectangle.",),
        key="shapes.rectangle.area",
    )

A task of the user's own is called "module:Class".
"""

import sys
from pathlib import Path

from tf_tokenrl import catalog
from tf_tokenrl.datasets import prepared
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.tasks.base import (
    CLASSIFIES,
    TAGS,
    WRITES,
    Kind,
    LabelTask,
    Task,
)

__all__ = [
    "CLASSIFIES",
    "Kind",
    "LabelTask",
    "TAGS",
    "Task",
    "WRITES",
    "get",
    "name_for",
    "of",
]
_UNTOLD = "headline"


def get(name: str, **options) -> Task:
    """Build the task called `name`, or the user's "module:Class".

    Raises:
        TokenRLError: unknown name, an option the task does not take, or a
            class that is not a `Task`.
    """
    task = catalog.create(sys.modules[__name__], name, **options)
    if not isinstance(task, Task):
        raise TokenRLError(
            f'"{name}" is not a task: derive it from tf_tokenrl.tasks.Task.'
        )
    return task


def of(data: str | Path, name: str = "") -> Task:
    """Build the task of data: the one named, or that which `prepare` recorded.

    Args:
        data: see `tf_tokenrl.datasets.readers`.
        name: "" takes what was recorded, or else "headline".

    Raises:
        TokenRLError: see `get`; or the data were prepared for a task with
            answers of another kind.
    """
    recorded = prepared.recorded(data).get("task", name)
    task = get(name_for(data, name), data=str(data))
    other = name and name != recorded
    if other and get(recorded, data=str(data)).kind != task.kind:
        raise TokenRLError(
            f'"{data}" was prepared for the task "{recorded}", whose answers '
            f'are not those of "{name}": leave --task out, or prepare the '
            "data for that task."
        )
    return task


def name_for(data: str | Path, name: str = "") -> str:
    """The name of the task that `of` builds."""
    return name or prepared.recorded(data).get("task", "") or _UNTOLD
