"""Serve SavedModels: `tf-tokenrl serve --model_base_path=savedmodels/...`."""

from tf_tokenrl import serving


def main(arguments: list[str]) -> None:
    """Serve until stopped.

    Args:
        arguments: flags spelled as those of `tensorflow_model_server`.

    Raises:
        TokenRLError: a flag, a path or the port cannot be used.
    """
    flags = serving.parse(arguments)  # before TensorFlow is imported
    serving.serve(flags)
