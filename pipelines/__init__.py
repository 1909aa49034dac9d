"""The commands of `tf-tokenrl`, one file each."""

if __name__ != "tf_tokenrl.pipelines":  # two names would be two copies
    raise ImportError("Import the commands as tf_tokenrl.pipelines.")
