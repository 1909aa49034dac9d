"""Full tuning as an adapter: a copy of every weight."""

from tf_tokenrl.adapters.base import Adapter
from tf_tokenrl.backbones.linear import Entries


class Full(Adapter):
    """Learns a copy of all weights, beside those that they began with.

    It takes the memory of full tuning with a reference: the base is the
    reference. Of tied tables there is one copy, which stays tied.

    Args:
        l1: see `Adapter`; of each weight's distance from the base.
        l2: see `Adapter`.
    """

    freezes = False  # what learns has the place of what does not

    def chooses(self, path: str, leaves: Entries) -> bool:
        """All, but of what is tied the first."""
        return "rows" not in leaves

    def add(self, path: str, leaves: Entries) -> None:
        """See `Adapter.add`."""
        self.own(path, leaves)
