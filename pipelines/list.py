"""List rewards, algorithms, tasks and schedules, or explain one."""

import rich
from rich.table import Table
from rich.text import Text

from tf_tokenrl import catalog
from tf_tokenrl.options.list import ListOptions


def main(options: ListOptions) -> None:
    """Print the members of a family, or all about one.

    Raises:
        TokenRLError: there is no such member.
    """
    if options.name:
        print(catalog.explained(options.family, options.name))
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, line in catalog.summaries(options.family).items():
        table.add_row(Text(name, "bold"), Text(line))
    rich.print(table)
