"""What each command can be told, command by command, without TensorFlow."""

from tf_tokenrl.options.checking import Options, check

__all__ = ["Options", "check"]
