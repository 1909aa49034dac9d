"""Only the last layer learns."""

from tf_tokenrl.adapters.base import Adapter, role_of
from tf_tokenrl.backbones.linear import Entries


class HeadOnly(Adapter):
    """Learns a copy of the map that makes logits, and the value head.

    Where the logits are made by the embedding, the two are tied no longer:
    the embedding stays what it was.

    Args:
        l1: see `Adapter`; of each weight's distance from the base.
        l2: see `Adapter`.
    """

    def chooses(self, path: str, leaves: Entries) -> bool:
        """The map to the vocabulary; a label head is the policy's own."""
        return role_of(path) == "logits"

    def add(self, path: str, leaves: Entries) -> None:
        """See `Adapter.add`."""
        self.own(path, leaves)
