"""What is measured of generation, beside the names of TensorFlow Serving."""

from prometheus_client import Counter, Gauge, Histogram

from tf_tokenrl.serving.metrics import REGISTRY

_SECONDS = [
    digit * 10.0**power for power in (-3, -2, -1, 0, 1) for digit in (1, 2.5, 5)
]
FIRST_TOKEN = Histogram(
    "tf_tokenrl_time_to_first_token_seconds",
    "From the request, waiting included, to the first token of an answer.",
    buckets=_SECONDS,
    registry=REGISTRY,
)
BETWEEN_TOKENS = Histogram(
    "tf_tokenrl_inter_token_seconds",
    "From one token of an answer to the next, on average over those that "
    "were sent together.",
    buckets=_SECONDS,
    registry=REGISTRY,
)
TOKENS = Counter(
    "tf_tokenrl_generated_tokens",
    "Tokens that were written.",
    registry=REGISTRY,
)
TRUNCATED = Counter(
    "tf_tokenrl_truncated_prompts",
    "Prompts that were longer than the model reads.",
    registry=REGISTRY,
)
QUEUE = Gauge(
    "tf_tokenrl_queue_length",
    "Answers that wait for a slot.",
    registry=REGISTRY,
)
SLOTS = Gauge(
    "tf_tokenrl_slots_in_use",
    "Answers that are being written.",
    registry=REGISTRY,
)
