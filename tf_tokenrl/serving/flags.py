"""The command line of `tensorflow_model_server`."""

import argparse
import dataclasses
import difflib
import logging
from collections.abc import Sequence
from typing import Any

from tf_tokenrl import __version__
from tf_tokenrl.errors import TokenRLError

logger = logging.getLogger(__name__)

# Flags of the real server that this one accepts and does not act on.
_IGNORED = (
    "enable_profiler",
    "flush_filesystem_caches",
    "mixed_precision",
    "num_tflite_interpreters_per_pool",
    "num_tflite_pools",
    "platform_config_file",
    "prefer_tflite_model",
    "remove_unused_fields_from_bundle_metagraph",
    "skip_initialize_tpu",
    "thread_pool_factory_config_file",
)
# Leaving this out would open what the user meant to lock.
_REFUSED = ("use_alts_credentials",)
_OTHERS = (*_IGNORED, *_REFUSED)


def _flag(default, text: str):
    return dataclasses.field(default=default, metadata={"help": text})


@dataclasses.dataclass(frozen=True)
class Flags:
    """What the embedded server acts on, spelled as the real server does.

    Note: `host` is ours. The real server listens on every interface, this
    one on the loopback interface unless told otherwise.
    """

    port: int = _flag(8500, "gRPC port; 0 picks a free one and prints it")
    host: str = _flag(
        "127.0.0.1", "interface to listen on; not a flag of the real server"
    )
    grpc_socket_path: str = _flag(
        "", "UNIX socket to listen on too; relative or absolute path"
    )
    ssl_config_file: str = _flag(
        "", "text-format SSLConfig: encrypt, and ask clients for certificates"
    )
    enable_grpc_healthcheck_service: bool = _flag(
        False, "offer grpc.health.v1.Health"
    )
    rest_api_port: int = _flag(
        0, "HTTP port; 0 is none, -1 picks a free one and prints it"
    )
    rest_api_num_threads: int = _flag(
        0, "HTTP requests answered side by side; 0 is 4 per CPU, 64 at least"
    )
    rest_api_timeout_in_ms: int = _flag(
        30_000, "milliseconds that an HTTP request may take; 0 is for ever"
    )
    rest_api_enable_cors_support: bool = _flag(
        False, "let scripts of other web sites read HTTP answers"
    )
    rest_api_max_body_bytes: int = _flag(
        64 * 2**20, "longest HTTP body; not a flag of the real server"
    )
    monitoring_config_file: str = _flag(
        "", "text-format MonitoringConfig: Prometheus metrics over HTTP"
    )
    enable_batching: bool = _flag(False, "join requests into one run")
    batching_parameters_file: str = _flag(
        "", "text-format BatchingParameters: how they are joined"
    )
    enable_per_model_batching_parameters: bool = _flag(
        False, "take them from batching_params.pbtxt in each version instead"
    )
    model_name: str = _flag("default", "name of the model in requests")
    model_base_path: str = _flag("", "directory of the numbered versions")
    model_config_file: str = _flag(
        "", "text-format ModelServerConfig: several models, policies, labels"
    )
    model_config_file_poll_wait_seconds: int = _flag(
        0, "seconds between two looks at that file; 0 looks once"
    )
    reload_base_paths: str = _flag(
        "",
        "directories, comma-separated, below which HandleReloadConfigRequest "
        'may name models; empty: those beside the first ones, "*": any; not a '
        "flag of the real server",
    )
    saved_model_tags: str = _flag("serve", "tags of the graph, comma-separated")
    file_system_poll_wait_seconds: int = _flag(
        1, "seconds between two looks for new versions; 0 looks once"
    )
    max_num_load_retries: int = _flag(5, "tries after a load that failed")
    load_retry_interval_micros: int = _flag(
        60_000_000, "microseconds between these tries"
    )
    num_load_threads: int = _flag(
        0, "versions loaded side by side; 0 loads one by one"
    )
    num_unload_threads: int = _flag(
        0, "versions closed side by side; 0 closes where the last use ends"
    )
    enable_model_warmup: bool = _flag(
        True, "run assets.extra/tf_serving_warmup_requests before serving"
    )
    num_request_iterations_for_warmup: int = _flag(
        0, "how often each of these requests runs; 0 is once"
    )
    enable_signature_method_name_check: bool = _flag(
        False, "refuse signatures made for another RPC"
    )
    enable_serialization_as_tensor_content: bool = _flag(
        False, "answer Predict with bytes instead of lists of values"
    )
    allow_version_labels_for_unavailable_models: bool = _flag(
        False, "let labels name versions that are not loaded yet"
    )
    enable_streaming: bool = _flag(
        False,
        "tell answers while they are written, by names of our own; not a flag "
        "of the real server, like the next four",
    )
    streaming_slots: int = _flag(
        16, "answers of a version that are written side by side"
    )
    streaming_steps: int = _flag(
        4, "tokens between two chances to join those or to leave them"
    )
    streaming_queue: int = _flag(256, "answers that may wait for a slot")
    streaming_max_prompt_bytes: int = _flag(
        2**20, "longest prompt; a longer one is refused"
    )
    feedback: str = _flag(
        "",
        "URL of a feedback store, sqlite:///FILE: take answers and judgements "
        "at /v1/feedback; not a flag of the real server, like the next five",
    )
    feedback_token_file: str = _flag(
        "", "file with the token that whoever writes feedback must send"
    )
    feedback_hosts: str = _flag(
        "", "names of this server, comma-separated, besides localhost"
    )
    playground: bool = _flag(
        False, "offer a page at /playground/ for asking and judging"
    )
    playground_model: str = _flag(
        "", "name of the model that it asks; empty is --model_name"
    )
    playground_labels: str = _flag(
        "", "two version labels that it compares, as stable,canary"
    )
    xla_cpu_compilation_enabled: bool = _flag(
        False, "allow XLA; without it, XLA ops fail as in the real server"
    )
    xla_gpu_compilation_enabled: bool = _flag(False, "the same, on GPUs")
    tensorflow_session_parallelism: int = _flag(
        0, "threads of both kinds; 0 lets TensorFlow choose"
    )
    tensorflow_intra_op_parallelism: int = _flag(0, "threads within an op")
    tensorflow_inter_op_parallelism: int = _flag(0, "ops run side by side")
    tensorflow_session_config_file: str = _flag(
        "", "text-format ConfigProto for TensorFlow's sessions"
    )
    per_process_gpu_memory_fraction: float = _flag(
        0.0, "share of a GPU's memory to take; 0 leaves it to TensorFlow"
    )
    grpc_channel_arguments: str = _flag("", "key=value,key=value for gRPC")
    grpc_max_threads: int = _flag(
        0, "requests answered side by side; 0 is 4 per CPU, 64 at least"
    )


def parse(arguments: Sequence[str]) -> Flags:
    """Read `--name=value`, `--name value` and bare Boolean flags.

    Flags of the real server that this one does not act on are accepted with
    a warning.

    Raises:
        TokenRLError: a flag is unknown, malformed, or asks for encryption
            by ALTS, which this server does not have.
    """
    options, rest = _parser().parse_known_args(arguments)
    if rest:
        raise TokenRLError(_unknown(rest[0]))
    values = vars(options)
    asked = [name for name in _OTHERS if _is_set(values.pop(name, ""))]
    for name in set(asked) & set(_REFUSED):
        raise TokenRLError(
            f"--{name} needs the real TensorFlow Serving: the embedded "
            "server knows no ALTS. --ssl_config_file encrypts."
        )
    if asked:
        logger.warning(
            "Ignored, the embedded server does not act on: %s.",
            ", ".join(f"--{name}" for name in asked),
        )
    return _checked(Flags(**values))


def _checked(flags: Flags) -> Flags:
    if not 0 <= flags.port <= 65535:
        raise TokenRLError(
            f"--port={flags.port} is no port: give 1 to 65535, or 0 for a "
            "free one."
        )
    if not -1 <= flags.rest_api_port <= 65535:
        raise TokenRLError(
            f"--rest_api_port={flags.rest_api_port} is no port: give 1 to "
            "65535, 0 for none, or -1 for a free one."
        )
    if flags.port == flags.rest_api_port > 0:
        raise TokenRLError(
            f"--port and --rest_api_port are both {flags.port}: give each a "
            "port of its own."
        )
    if min(flags.streaming_slots, flags.streaming_steps) < 1:
        raise TokenRLError(
            "--streaming_slots and --streaming_steps must be at least 1."
        )
    for field in dataclasses.fields(Flags):
        value = getattr(flags, field.name)
        least = -1 if field.name == "rest_api_port" else 0
        # Of the stock server's flags only times in microseconds have 64 bits.
        most = 2 ** (63 if field.name.endswith("_micros") else 31) - 1
        if field.type is int and not least <= value <= most:
            raise TokenRLError(
                f"--{field.name}={value} must be from {least} to {most}."
            )
    if not 0 <= flags.per_process_gpu_memory_fraction <= 1:  # NaN is not
        raise TokenRLError(
            "--per_process_gpu_memory_fraction="
            f"{flags.per_process_gpu_memory_fraction} must be from 0 to 1."
        )
    return flags


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        raise TokenRLError(f"{message.removeprefix('argument ')} (see --help).")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="tf-tokenrl serve",
        description="Serve SavedModels over TensorFlow Serving's gRPC API.",
        allow_abbrev=False,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    for field in dataclasses.fields(Flags):
        form: dict[str, Any] = {"type": field.type}
        if field.type is bool:
            form = {"type": _boolean, "nargs": "?", "const": True}
        parser.add_argument(
            f"--{field.name}",
            default=field.default,
            help=field.metadata["help"],
            **form,
        )
    for name in _OTHERS:
        parser.add_argument(
            f"--{name}",
            nargs="?",
            const="true",
            default=argparse.SUPPRESS,
            help=argparse.SUPPRESS,
        )
    return parser


def _is_set(text: str) -> bool:
    return text.lower() not in ("", "0", "false")


def _boolean(text: str) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in known:
        raise argparse.ArgumentTypeError(f'"{text}" is neither true nor false')
    return known[text.lower()]


def _unknown(argument: str) -> str:
    name = argument.partition("=")[0]
    known = [f"--{field.name}" for field in dataclasses.fields(Flags)]
    known += [f"--{other}" for other in _OTHERS]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f' Did you mean "{close[0]}"?' if close else ""
    return f'Unknown flag "{name}".{hint} "--help" lists the flags.'
