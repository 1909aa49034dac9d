"""Learning from what is served: who gets which version, and which one stays."""

from tf_tokenrl.online.gate import Decision, PairGate
from tf_tokenrl.online.split import Split

__all__ = ["Decision", "PairGate", "Split"]
