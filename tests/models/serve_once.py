"""Run requests on SavedModels as a stock server does: a session, no XLA.

    python -m tests.models.serve_once < requests.json

Reads a list of `[folder, signature, {input: [..]}]` and prints a list of
`{output: [..]}`; in a process of its own, as XLA cannot be switched on again.
"""

import json
import sys

from tf_tokenrl.quiet import start_tensorflow

start_tensorflow()

import tensorflow as tf  # noqa: E402

from tf_tokenrl.serving.servable import Servable, disable_xla  # noqa: E402


def main():
    disable_xla()
    config = tf.compat.v1.ConfigProto()
    loaded, replies = {}, []
    for folder, name, inputs in json.load(sys.stdin):
        if folder not in loaded:
            loaded[folder] = Servable(folder, ["serve"], config)
        replies.append(ask(loaded[folder], name, inputs))
    print(json.dumps(replies))


def ask(servable, name, inputs):
    signature = servable.signatures[name]
    feeds = {}
    for key, values in inputs.items():
        info = signature.inputs[key]
        dtype = tf.as_dtype(info.dtype)
        if dtype == tf.string:
            values = [value.encode("latin-1") for value in values]
        feeds[info.name] = tf.constant(values, dtype, [len(values)]).numpy()
    outputs = sorted(signature.outputs)
    arrays = servable.run(feeds, [signature.outputs[o].name for o in outputs])
    return {
        output: [
            x.decode("latin-1") if isinstance(x, bytes) else x
            for x in array.tolist()
        ]
        for output, array in zip(outputs, arrays, strict=True)
    }


if __name__ == "__main__":
    main()
