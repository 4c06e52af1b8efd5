"""The server process: everything put together, started, drained and stopped."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from core.files import write_atomic
from core.process import cores
from serving.api.grpc_server import GrpcServer
from serving.api.http_server import App, HttpServer, listen
from serving.api.json_worker import JsonWorkers
from serving.api.rest import RestApi
from serving.api.service import Service
from serving.config_files import (
    default_batching,
    read_batching,
    read_model_config,
    read_monitoring_path,
    read_ssl,
    single_model_config,
)
from serving.engine.capi import use_onednn
from serving.engine.model import LoadOptions, Model
from serving.engine.warmup import warm_up
from serving.operations import tls
from serving.operations.limits import Limits
from serving.operations.memory import MemoryBudget
from serving.operations.metrics import Metrics
from serving.operations.request_log import RequestLog
from serving.options import Options
from serving.status import ServingError, invalid_argument
from serving.versions.core import ServerCore
from serving.versions.manager import VersionManager
from serving.versions.traffic import Router, read_traffic

log = logging.getLogger(__name__)

_LAST_ANSWER_SECONDS = 0.5


def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None


def _threads(options: Options) -> tuple[int, int]:
    session, intra, inter = (
        options.tensorflow_session_parallelism,
        options.tensorflow_intra_op_parallelism,
        options.tensorflow_inter_op_parallelism,
    )
    if session and intra and inter:
        raise invalid_argument(
            "Either configure server_options.tensorflow_session_parallelism or "
            "(server_options.tensorflow_intra_op_parallelism, server_options.tensorflow_inter_op_parallelism) "
            "separately. You cannot configure all."
        )
    return (intra, inter) if intra or inter else (session, session)


class ModelServer:
    """One server process."""

    def __init__(self, options: Options) -> None:
        """Read every file the flags name.

        Raises:
            ServingError: for a combination or a file that cannot be.
        """
        use_onednn()
        self.options = options
        for name, reason in options.not_done().items():
            log.warning("--%s is accepted and not done: %s", name, reason)
        if not options.port and not options.rest_api_port and not options.grpc_socket_path:
            raise invalid_argument(
                "--port and --rest_api_port are 0 and there is no --grpc_socket_path: nothing would listen"
            )
        if not options.model_config_file and not options.model_base_path:
            raise invalid_argument(
                "Both server_options.model_base_path and server_options.model_config_file are empty! "
                "Give --model_base_path or --model_config_file."
            )
        self._config = (
            read_model_config(options.model_config_file)
            if options.model_config_file
            else single_model_config(options.model_name, options.model_base_path)
        )
        batching = None
        if options.enable_batching:
            file = options.batching_parameters_file
            batching = read_batching(file) if file else default_batching()
        elif options.batching_parameters_file:
            raise invalid_argument(
                "server_options.batching_parameters_file is set without setting "
                "server_options.enable_batching to true."
            )
        self._monitoring_path = read_monitoring_path(options.monitoring_config_file)
        file = options.ssl_config_file
        self._grpc_tls = tls.grpc_credentials(read_ssl(file)) if file else None
        file = options.rest_api_ssl_config_file
        self._rest_tls = tls.http_context(read_ssl(file)) if file else None
        self.metrics = Metrics(batching.thread_pool_name if batching else "model_server_batch_threads")
        self.load_options = LoadOptions(
            tags=tuple(options.saved_model_tags.split(",")),
            threads=_threads(options),
            batching=batching,
            metrics=self.metrics,
            slots=threading.BoundedSemaphore(options.max_concurrent_runs or 4 * cores()),
            checks_methods=options.enable_signature_method_name_check,
        )
        manager = VersionManager(
            self._load, options, lambda name, state: self.metrics.swaps.add(name, state.name)
        )
        self.core = ServerCore(manager, options)
        self.limits = Limits(options, self.metrics)
        budget = MemoryBudget(options.max_request_memory_bytes, self.metrics)
        self.service = Service(self.core, self.metrics, self.limits, budget, options)
        if options.traffic_config_file:
            traffic = read_traffic(options.traffic_config_file)
            self.service.router = Router(traffic, self.core, self.metrics)
        if options.request_log_dir is not None:
            self.service.recorder = RequestLog(options.request_log_dir, options, self.metrics)
        self._json_workers = JsonWorkers(min(2, cores()))
        self._grpc: GrpcServer | None = None
        self._http: HttpServer | None = None
        self.ports: dict[str, int] = {}
        self._stopping = threading.Event()

    def _load(self, name: str, version: int, folder: Path) -> Model:
        began = time.perf_counter()
        model = Model(name, version, folder, self.load_options)
        try:
            if self.options.enable_model_warmup:
                warm_up(model, self.metrics, max(1, self.options.num_request_iterations_for_warmup))
        except BaseException:
            model.close()
            raise
        log.info("Loaded {name: %s version: %d} in %.2f s", name, version, time.perf_counter() - began)
        return model

    def start(self) -> None:
        """Load the models, then listen.

        Raises:
            ServingError: A model does not load, or a port is taken, which is looked at first.
        """
        self._check_ports()
        self.core.reload(self._config, lambda: not self._stopping.is_set())
        options = self.options
        if options.port or options.grpc_socket_path:
            self._grpc = GrpcServer(self.service, self.core.reload)
            if options.port:
                host, port = options.host or "::", max(0, options.port)
                address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
                self.ports["grpc"] = self._grpc.listen(address, self._grpc_tls)
            if options.grpc_socket_path:
                self._grpc.listen(f"unix:{Path(options.grpc_socket_path).absolute()}", self._grpc_tls)
            self._grpc.start()
            log.info("Running gRPC ModelServer at %s:%d ...", options.host or "*", self.ports.get("grpc", 0))
        if options.rest_api_port > 0 and options.rest_api_port == options.port:
            log.error(
                "server_options.http_port cannot be same as grpc_port. Please use a different port for HTTP/REST "
                "API. Skipped exporting HTTP/REST API."
            )
        elif options.rest_api_port:
            app = App(RestApi(self.service, self._json_workers), self._why_not_ready, self._monitoring_path)
            self._http = HttpServer(app, options.host, max(0, options.rest_api_port), self._rest_tls)
            self.ports["rest"] = self._http.port
            log.info("Exporting HTTP/REST API at:%s:%d ...", options.host or "*", self._http.port)
        if options.model_config_file and options.model_config_file_poll_wait_seconds > 0:
            threading.Thread(target=self._poll_config, name="model-config-poll", daemon=True).start()
        if options.ports_file is not None:
            write_atomic(options.ports_file, json.dumps({**self.ports, "pid": os.getpid()}))

    def _check_ports(self) -> None:
        options = self.options
        for port in (options.port, options.rest_api_port):
            if port > 0:
                for one in listen(options.host, port):
                    one.close()

    def _why_not_ready(self) -> str:
        """Why load balancers should send requests elsewhere; empty if they should not."""
        if self.limits.is_draining or self._stopping.is_set():
            return "shutting down"
        available = self.core.manager.available()
        models = self.core.config.model_config_list.config
        missing = [one.name for one in models if not available.get(one.name)]
        return f"no version available of {missing}" if missing else ""

    def _poll_config(self) -> None:
        while not self._stopping.wait(self.options.model_config_file_poll_wait_seconds):
            try:
                self._reload_if_changed(Path(self.options.model_config_file))
            except ServingError as error:
                log.error("PollFilesystemAndReloadConfig failed to ReloadConfig: %s", error.message)

    def _reload_if_changed(self, file: Path) -> None:
        seen = _content(file)
        config: Any = read_model_config(file)
        if config != self.core.config:
            # A model whose folder is missing is waited for until the file says otherwise.
            self.core.reload(config, lambda: not self._stopping.is_set() and _content(file) == seen)

    def run_until_signalled(self) -> None:
        """Serve until SIGTERM, SIGHUP or SIGINT, then drain; a second signal stops at once."""
        # Who waits for the interpreter waits 5 ms while another thread computes, and an answer takes several turns.
        sys.setswitchinterval(0.001)

        def on_signal(number: int, _frame: object) -> None:
            if self._stopping.is_set():
                os._exit(128 + number)
            self._stopping.set()

        for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(one, on_signal)
        try:
            self.start()
        except ServingError:
            interrupted = self._stopping.is_set()
            self._stop_listening()
            self._close()
            if interrupted:
                return
            raise
        # A signal that the kernel gives to one of TensorFlow's threads does not wake this one: the handler runs when
        # the wait ends, so it must end soon.
        while not self._stopping.wait(0.2):
            pass
        self.drain()

    def drain(self) -> None:
        """Turn unready, finish what was begun, stop."""
        self._stopping.set()
        log.info("Draining: %d requests under way", self.limits.inflight)
        if self._grpc is not None:
            self._grpc.set_serving(False)
        if self.options.drain_delay_seconds:
            time.sleep(self.options.drain_delay_seconds)
        self.limits.drain()
        if self._grpc is not None:
            self._grpc.refuse(self.options.drain_seconds)
        finished = self.limits.await_idle(self.options.drain_seconds)
        self._stop_listening()
        if finished:
            log.info("Drained")
        else:
            log.info("Stopped with requests unfinished after %s s", self.options.drain_seconds)
        self._close()

    def _stop_listening(self) -> None:
        """End what is left: answers that are being sent, and streams."""
        if self._http is not None:
            self._http.stop(_LAST_ANSWER_SECONDS)
        if self._grpc is not None:
            self._grpc.stop()

    def _close(self) -> None:
        for one in (self.service.router, self.service.recorder):
            if one is not None:
                one.close()
        self._json_workers.close()
        self.core.close()
