"""BitFit: biases alone."""

from tf_tokenrl.adapters.base import Adapter, added, widths
from tf_tokenrl.backbones.linear import Entries


class Bitfit(Adapter):
    """Learns a vector that is added to what each map and norm gives.

        y = x W + b + d

    d begins with zeros. Models without biases, such as Llama, get them.

    Args:
        l1: see `Adapter`.
        l2: see `Adapter`.

    Source: Ben Zaken et al. (2022), "BitFit: Simple Parameter-efficient
    Fine-tuning for Transformer-based Masked Language-models".
    """

    def chooses(self, path: str, leaves: Entries) -> bool:
        """All maps inside of layers, and all norms."""
        return "kernel" in leaves or "scale" in leaves

    def add(self, path: str, leaves: Entries) -> None:
        """See `Adapter.add`."""
        size = leaves["scale"].shape if "scale" in leaves else widths(leaves)
        self.number(path, "shift", [size[-1]])

    def entries(self, path: str, entries: Entries) -> Entries:
        """See `Adapter.entries`."""
        return added(entries, shift=self.value(path, "shift"))
