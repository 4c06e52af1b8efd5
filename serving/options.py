"""Every flag of the server, with TF Serving's names where TF Serving has one."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class Options(BaseModel):
    """The settings of one server process; a flag `--name` for each field."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    port: int = Field(
        8500, description="TCP port for gRPC; 0 disables it, a negative number takes any free port"
    )
    rest_api_port: int = Field(
        8501, description="TCP port for HTTP/REST; 0 disables it, a negative number takes any free port"
    )
    host: str = Field("0.0.0.0", description="Address to listen on, for both ports")  # noqa: S104 - as TF Serving does
    grpc_socket_path: str = Field("", description="UNIX socket to listen on for gRPC as well")
    rest_api_num_threads: int = Field(
        0, ge=0, description="Threads that work on REST requests; 0: as for gRPC"
    )
    rest_api_timeout_in_ms: int = Field(30_000, description="Time limit of a REST request; 0 or less: none")
    rest_api_enable_cors_support: bool = Field(False, description="Send CORS headers")
    rest_api_max_body_bytes: int = Field(256 << 20, ge=1, description="Largest REST request body")
    rest_api_header_timeout_in_ms: int = Field(
        20_000, ge=1, description="Time a client has to send a whole request once it has connected or begun"
    )
    rest_api_max_connections: int = Field(
        2048, ge=1, description="Open REST connections; more are closed at once"
    )
    model_name: str = Field("default", description="Name of the model (ignored with --model_config_file)")
    model_base_path: str = Field(
        "", description="Folder of its version folders (ignored with --model_config_file)"
    )
    model_config_file: str = Field("", description="Text-proto ModelServerConfig: the models to serve")
    model_config_file_poll_wait_seconds: float = Field(
        0, description="Seconds between two looks at --model_config_file; 0: never again"
    )
    file_system_poll_wait_seconds: float = Field(
        1, description="Seconds between two looks for new versions; 0: once; negative: never"
    )
    allow_version_labels_for_unavailable_models: bool = Field(
        False, description="Accept a new label for a version that is not available yet"
    )
    force_allow_any_version_labels_for_unavailable_models: bool = Field(
        False,
        description="Accept any label for a version that is not available yet, also one that answered from another",
    )
    max_num_load_retries: int = Field(5, ge=0, description="How often a failed load is tried again")
    load_retry_interval_micros: int = Field(60_000_000, description="Microseconds between two tries")
    num_load_threads: int = Field(0, ge=0, description="Threads that load versions; 0: one")
    num_unload_threads: int = Field(0, ge=0, description="Accepted for compatibility: one thread unloads")
    enable_batching: bool = Field(False, description="Batch requests of several callers")
    batching_parameters_file: str = Field("", description="Text-proto BatchingParameters")
    enable_model_warmup: bool = Field(
        True, description="Replay assets.extra/tf_serving_warmup_requests at load"
    )
    num_request_iterations_for_warmup: int = Field(0, ge=0, description="Replays of each record; 0: one")
    monitoring_config_file: str = Field("", description="Text-proto MonitoringConfig")
    ssl_config_file: str = Field("", description="Text-proto SSLConfig with PEM texts; for gRPC")
    rest_api_ssl_config_file: str = Field("", description="Text-proto SSLConfig with PEM texts; for REST")
    enable_grpc_healthcheck_service: bool = Field(False, description="Serve grpc.health.v1")
    enable_serialization_as_tensor_content: bool = Field(False, description="Answer in tensor_content")
    enforce_session_run_timeout: bool = Field(True, description="Hand a request's deadline to TensorFlow")
    saved_model_tags: str = Field("serve", description="Comma-separated tags of the meta graph to load")
    tensorflow_session_parallelism: int = Field(
        0, ge=0, description="Threads within and between operations; 0: auto"
    )
    tensorflow_intra_op_parallelism: int = Field(0, ge=0, description="Threads within an operation; 0: auto")
    tensorflow_inter_op_parallelism: int = Field(0, ge=0, description="Threads between operations; 0: auto")
    grpc_channel_arguments: str = Field(
        "", description="Comma-separated key=value arguments of the gRPC server"
    )
    grpc_max_threads: int = Field(0, ge=0, description="Threads that hold gRPC requests; 0: auto")
    flush_filesystem_caches: bool = Field(True, description="Accepted for compatibility: nothing is cached")
    per_process_gpu_memory_fraction: float = Field(
        0, description="Accepted for compatibility: no GPU is used"
    )
    version: bool = Field(False, description="Print the versions and exit")
    # Beyond TF Serving.
    max_inflight_requests: int = Field(
        1024, ge=1, description="Requests at once; more are answered UNAVAILABLE"
    )
    max_concurrent_runs: int = Field(0, ge=0, description="Unbatched runs at once; 0: four for each core")
    auth_token_file: Path | None = Field(
        None, description="File with the bearer token that callers must send"
    )
    rate_limit_per_second: float = Field(
        0, ge=0, description="Requests a second each caller may send; 0: any"
    )
    rate_limit_burst: int = Field(
        20, ge=1, description="Requests a caller may send at once under the rate limit"
    )
    drain_seconds: float = Field(30, ge=0, description="Longest time SIGTERM waits for requests under way")
    drain_delay_seconds: float = Field(
        0,
        ge=0,
        description="Time between turning unready and refusing requests, for load balancers to notice",
    )
    request_log_dir: Path | None = Field(
        None, description="Folder for prediction records; none are kept without it"
    )
    request_log_sample: float = Field(1.0, ge=0, le=1, description="Fraction of requests that are recorded")
    request_log_images: bool = Field(False, description="Keep the image in the record")
    request_log_max_bytes: int = Field(
        64 << 20, ge=1024, description="Size at which a record file is rotated"
    )
    request_log_backups: int = Field(5, ge=1, description="Rotated record files that are kept")
    request_log_queue: int = Field(
        2048, ge=1, description="Records that may wait for the disk; more are dropped"
    )
    image_guard: bool = Field(True, description="Check images before the graph (inputs named image_bytes)")
    image_max_bytes: int = Field(32 << 20, ge=1, description="Largest encoded image")
    image_max_pixels: int = Field(50_000_000, ge=1, description="Most pixels of an image")
    image_max_batch_pixels: int = Field(
        400_000_000, ge=1, description="Most pixels of a request's images together"
    )
    traffic_config_file: str = Field("", description="JSON: canary and shadow by model")
    ports_file: Path | None = Field(None, description="Write the ports as JSON here once ready")
    log_format: str = Field("json", pattern="^(json|text)$", description="Log lines: json or text")
    log_level: str = Field(
        "INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="Least level that is logged"
    )
