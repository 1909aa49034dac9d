"""How a KerasHub backbone's layers are taken one position at a time.

One file per architecture. Each tells `own_cache`, which decodes, and
`packing`, which reads whole answers, how to embed tokens at given positions,
how a layer makes queries, keys and values, and what the layer does with what
was attended to. That of an encoder-decoder tells `own_cross_cache` two things
more: how a layer remembers the prompt, and what it asks of it. Backbones
without a file here are decoded through KerasHub's own cache and read by their
own forward pass.
"""

import keras_hub

from tf_tokenrl.backbones.bart import Bart
from tf_tokenrl.backbones.gpt2 import Gpt2
from tf_tokenrl.backbones.llama import Llama

_BY_BACKBONE = {
    keras_hub.models.BartBackbone: Bart,
    keras_hub.models.GPT2Backbone: Gpt2,
    keras_hub.models.LlamaBackbone: Llama,
}


def find(backbone):
    """The architecture of `backbone`, or None where we know none.

    Only exact classes count: a subclass may change what its layers do.
    """
    cls = _BY_BACKBONE.get(type(backbone))
    return cls(backbone) if cls else None
