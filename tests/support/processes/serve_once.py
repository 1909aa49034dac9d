"""Run requests on SavedModels as a stock server does: a session, no XLA.

    python -m tests.support.processes.serve_once < requests.json

Reads a list of `[folder, signature, {input: [..]}]` and prints two lists of
`{output: [..]}`, one asked in order and one from four threads at once; in a
process of its own, as XLA cannot be switched on again.
"""

import json
import sys
from concurrent import futures

from tf_tokenrl.runtime.startup import start_tensorflow

start_tensorflow()

import tensorflow as tf  # noqa: E402

from tf_tokenrl.serving.models import servable  # noqa: E402


def main():
    servable.disable_xla()
    requests = json.load(sys.stdin)
    loaded = {folder: load(folder) for folder in {r[0] for r in requests}}

    def reply(request):
        folder, name, inputs = request
        return ask(loaded[folder], name, inputs)

    alone = [reply(request) for request in requests]
    with futures.ThreadPoolExecutor(4) as pool:
        together = list(pool.map(reply, requests))
    print(json.dumps([alone, together]))


def load(folder):
    return servable.Servable(folder, ["serve"], tf.compat.v1.ConfigProto())


def ask(model, name, inputs):
    signature = model.signatures[name]
    feeds = {}
    for key, values in inputs.items():
        info = signature.inputs[key]
        dtype = tf.as_dtype(info.dtype)
        if dtype == tf.string:
            values = [value.encode("latin-1") for value in values]
        feeds[info.name] = tf.constant(values, dtype, [len(values)]).numpy()
    outputs = sorted(signature.outputs)
    arrays = model.run(feeds, [signature.outputs[o].name for o in outputs])
    return {
        output: plain(array.tolist())
        for output, array in zip(outputs, arrays, strict=True)
    }


def plain(value):
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value.decode("latin-1") if isinstance(value, bytes) else value


if __name__ == "__main__":
    main()
