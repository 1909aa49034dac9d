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

from tf_tokenrl import catalog
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.tasks.base import LabelTask, Task

__all__ = ["LabelTask", "Task", "get"]


def get(name: str, **options) -> Task:
    """The task called `name`, or the user's "module:Class".

    Raises:
        TokenRLError: unknown name, an option the task does not take, or a
            class that is no `Task`.
    """
    task = catalog.create(sys.modules[__name__], name, **options)
    if not isinstance(task, Task):
        raise TokenRLError(
            f'"{name}" is not a task: derive it from tf_tokenrl.tasks.Task.'
        )
    return task
