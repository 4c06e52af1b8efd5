"""Every flag of the server: those of TensorFlow Serving 2.19.1's main.cc, and after them its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from core.settings import Frozen


def _upstream(default: Any, description: str, unused: str = "", **limits: Any) -> Any:
    """A flag of tensorflow_serving/model_servers/main.cc; `unused` says why it is taken and not done."""
    if unused:
        description += f" Accepted with a warning: {unused}."
    return Field(default, description=description, json_schema_extra={"unused": unused}, **limits)


_CPU_ONLY = "this server has no accelerator"
_NO_LITE = "only saved_model.pb is served"
_OS_CACHES = "the system's file cache is left alone"


class Options(Frozen):
    """The settings of one server process; a flag `--name` for each field."""

    port: int = _upstream(
        8500, "TCP port for gRPC; 0 disables it, a negative number takes any free port.", ge=-1, le=65535
    )
    grpc_socket_path: str = _upstream("", "UNIX socket to listen on for gRPC as well.")
    rest_api_port: int = _upstream(
        8501, "TCP port for HTTP/REST; 0 disables it, a negative number takes any free port.", ge=-1, le=65535
    )
    rest_api_num_threads: int = _upstream(0, "Threads that work on REST requests; 0: as for gRPC.", ge=0)
    rest_api_timeout_in_ms: int = _upstream(
        30_000, "Time limit of a REST request in milliseconds; 0 or less: none."
    )
    rest_api_enable_cors_support: bool = _upstream(False, "Send CORS headers.")
    enable_batching: bool = _upstream(False, "Batch requests of several callers.")
    allow_version_labels_for_unavailable_models: bool = _upstream(
        False, "Accept a new label for a version that is not available yet."
    )
    batching_parameters_file: str = _upstream("", "Text-proto BatchingParameters.")
    enable_per_model_batching_parameters: bool = _upstream(
        False,
        "Read batching_params.pbtxt of each model.",
        "one set of parameters is used for all models",
    )
    model_config_file: str = _upstream("", "Text-proto ModelServerConfig: the models to serve.")
    model_config_file_poll_wait_seconds: float = _upstream(
        0, "Seconds between two looks at --model_config_file; 0: never again."
    )
    model_name: str = _upstream("default", "Name of the model (ignored with --model_config_file).")
    model_base_path: str = _upstream("", "Folder of its version folders (ignored with --model_config_file).")
    num_load_threads: int = _upstream(0, "Threads that load versions; 0: one.", ge=0)
    num_unload_threads: int = _upstream(0, "Threads that unload versions.", "one thread unloads", ge=0)
    max_num_load_retries: int = _upstream(5, "How often a failed load is tried again.", ge=0)
    load_retry_interval_micros: int = _upstream(60_000_000, "Microseconds between two tries.")
    file_system_poll_wait_seconds: float = _upstream(
        1, "Seconds between two looks for new versions; 0: once; negative: never."
    )
    flush_filesystem_caches: bool = _upstream(True, "Flush file caches after a load.", _OS_CACHES)
    tensorflow_session_parallelism: int = _upstream(
        0, "Threads within and between operations; 0: auto.", ge=0
    )
    tensorflow_session_config_file: str = _upstream(
        "", "Text-proto ConfigProto of the session.", "threads are set by the flags beside it"
    )
    tensorflow_intra_op_parallelism: int = _upstream(0, "Threads within an operation; 0: auto.", ge=0)
    tensorflow_inter_op_parallelism: int = _upstream(0, "Threads between operations; 0: auto.", ge=0)
    use_alts_credentials: bool = _upstream(False, "Google ALTS.", "use --ssl_config_file")
    ssl_config_file: str = _upstream("", "Text-proto SSLConfig with PEM texts; for gRPC.")
    platform_config_file: str = _upstream(
        "", "Text-proto PlatformConfigMap.", "the only platform is tensorflow"
    )
    per_process_gpu_memory_fraction: float = _upstream(0, "Fraction of the GPU's memory.", _CPU_ONLY)
    saved_model_tags: str = _upstream("serve", "Comma-separated tags of the meta graph to load.")
    grpc_channel_arguments: str = _upstream("", "Comma-separated key=value arguments of the gRPC server.")
    grpc_max_threads: int = _upstream(0, "Threads that hold gRPC requests; 0: auto.", ge=0)
    enable_model_warmup: bool = _upstream(True, "Replay assets.extra/tf_serving_warmup_requests at load.")
    num_request_iterations_for_warmup: int = _upstream(0, "Replays of each record; 0: one.", ge=0)
    version: bool = _upstream(False, "Print the versions and exit.")
    monitoring_config_file: str = _upstream(
        "", "Text-proto MonitoringConfig; without it the page is at /monitoring/prometheus/metrics."
    )
    remove_unused_fields_from_bundle_metagraph: bool = _upstream(
        True, "Forget what of the MetaGraphDef is not needed.", "only the signatures are kept, always"
    )
    prefer_tflite_model: bool = _upstream(False, "Serve model.tflite.", _NO_LITE)
    num_tflite_pools: int = _upstream(0, "Pools of LiteRT interpreters.", _NO_LITE)
    num_tflite_interpreters_per_pool: int = _upstream(1, "LiteRT interpreters a pool.", _NO_LITE)
    enable_signature_method_name_check: bool = _upstream(
        False, "Refuse Classify and Regress on a signature whose method name is another."
    )
    xla_cpu_compilation_enabled: bool = _upstream(
        False, "XLA's compiler for the CPU.", "it is far slower for these models"
    )
    enable_profiler: bool = _upstream(True, "TensorFlow's profiler service.", "there is none")
    thread_pool_factory_config_file: str = _upstream(
        "", "Text-proto ThreadPoolConfig.", "the pools are TensorFlow's own"
    )
    mixed_precision: str = _upstream("", "Run in bfloat16.", _CPU_ONLY)
    skip_initialize_tpu: bool = _upstream(False, "Leave the TPU alone.", _CPU_ONLY)
    enable_grpc_healthcheck_service: bool = _upstream(False, "Serve grpc.health.v1.")
    enforce_session_run_timeout: bool = _upstream(True, "Hand a request's deadline to TensorFlow.")
    enable_serialization_as_tensor_content: bool = _upstream(False, "Answer in tensor_content.")
    # Beyond TensorFlow Serving.
    host: str = Field("", description="Name or address to listen on, for both ports; empty: all there are.")
    rest_api_ssl_config_file: str = Field("", description="Text-proto SSLConfig with PEM texts; for REST.")
    rest_api_max_body_bytes: int = Field(
        256 << 20, ge=1, description="Largest REST request body, unzipped, in bytes."
    )
    rest_api_header_timeout_in_ms: int = Field(
        20_000,
        ge=1,
        description="Milliseconds that a client has to send a whole request once it has connected or begun.",
    )
    rest_api_max_connections: int = Field(
        2048, ge=1, description="Open REST connections; more are closed at once."
    )
    max_request_memory_bytes: int = Field(
        1 << 30,
        ge=1 << 20,
        description="Memory in bytes that the requests under way may take together, over both APIs.",
    )
    max_inflight_requests: int = Field(
        1024, ge=1, description="Requests at once; more are answered UNAVAILABLE."
    )
    max_concurrent_runs: int = Field(0, ge=0, description="Unbatched runs at once; 0: four for each core.")
    auth_token_file: Path | None = Field(
        None, description="File with the bearer token that callers must send."
    )
    rate_limit_per_second: float = Field(
        0, ge=0, description="Requests a second that each caller may send; 0: any."
    )
    rate_limit_burst: int = Field(
        20, ge=1, description="Requests that a caller may send at once under the rate limit."
    )
    drain_seconds: float = Field(
        30, ge=0, description="Longest time in seconds that a stop waits for requests under way."
    )
    drain_delay_seconds: float = Field(
        0,
        ge=0,
        description="Seconds between turning unready and refusing requests, for load balancers to notice.",
    )
    request_log_dir: Path | None = Field(
        None, description="Folder for prediction records; none are kept without it."
    )
    request_log_sample: float = Field(1.0, ge=0, le=1, description="Fraction of requests that are recorded.")
    request_log_images: bool = Field(False, description="Keep the image in the record.")
    request_log_max_bytes: int = Field(
        64 << 20, ge=1024, description="Size in bytes at which a record file is rotated."
    )
    request_log_backups: int = Field(5, ge=1, description="Rotated record files that are kept.")
    request_log_queue: int = Field(
        2048, ge=1, description="Records that may wait for the disk; more are dropped."
    )
    image_guard: bool = Field(
        True, description="Check images before the graph, and bring them to what ingest would have written."
    )
    image_max_bytes: int = Field(32 << 20, ge=1, description="Largest encoded image in bytes.")
    image_max_pixels: int = Field(50_000_000, ge=1, description="Largest number of pixels of an image.")
    image_max_batch_pixels: int = Field(
        400_000_000, ge=1, description="Largest number of pixels of a request's images together."
    )
    traffic_config_file: str = Field("", description="JSON: canary and shadow by model.")
    ports_file: Path | None = Field(None, description="Write the ports as JSON here once ready.")
    log_format: str = Field("json", pattern="^(json|text)$", description="Log lines: json or text.")
    log_level: str = Field(
        "INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="Lowest level that is logged."
    )

    def not_done(self) -> dict[str, str]:
        """Return the flags that were given and change nothing here, each with the reason."""
        reasons: dict[str, str] = {}
        for name in sorted(self.model_fields_set):
            field = Options.model_fields[name]
            extra = field.json_schema_extra
            if isinstance(extra, dict) and extra["unused"] and getattr(self, name) != field.default:
                reasons[name] = str(extra["unused"])
        return reasons


def is_upstream(name: str) -> bool:
    """Whether TensorFlow Serving 2.19.1 has this flag."""
    return isinstance(Options.model_fields[name].json_schema_extra, dict)
