"""BERT with the GELU that its weights were trained with."""

import keras
import keras_hub


@keras.saving.register_keras_serializable(package="tf_tokenrl")
class ExactBertBackbone(keras_hub.models.BertBackbone):
    """KerasHub's BERT, computing x Phi(x) instead of its tanh approximation.

    The two differ by up to 4.7e-4, near x = -2.7. Files say "gelu" for the
    exact form.

    Source: Hendrycks and Gimpel (2016), "Gaussian Error Linear Units".
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        for layer in self.transformer_layers:
            layer.activation = keras.activations.gelu
            layer._feedforward_intermediate_dense.activation = layer.activation
