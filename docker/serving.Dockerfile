# The embedded model server: TensorFlow's C++ library behind TensorFlow Serving's flags and API.
#
#   docker build -f docker/serving.Dockerfile -t melanosizer-serving .
#   docker run --read-only --tmpfs /tmp -p 127.0.0.1:8500:8500 -v "$PWD/workspace/serving:/workspace/serving:ro" \
#     melanosizer-serving
#
# Pin the base by digest: --build-arg BASE=debian:trixie-slim@sha256:...
ARG BASE=debian:trixie-slim

FROM ${BASE} AS builder
# Debian keeps only its newest point release, so versions cannot be pinned here; the base's digest can.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY docker/uv.requirements.txt docker/build.requirements.txt ./
RUN python3 -m venv /opt/uv \
 && /opt/uv/bin/pip install --no-cache-dir --require-hashes --only-binary=:all: -r uv.requirements.txt
COPY pyproject.toml uv.lock ./
ENV UV_PROJECT_ENVIRONMENT=/opt/venv \
    UV_NO_CACHE=1 \
    UV_LINK_MODE=copy
# The server calls TensorFlow's C library and never imports TensorFlow, so what only the import needs stays out.
RUN /opt/uv/bin/uv sync --frozen --no-install-project --no-default-groups --extra serving \
      --python /usr/bin/python3 --no-managed-python \
      --no-install-package keras --no-install-package h5py --no-install-package libclang \
      --no-install-package optree --no-install-package ml-dtypes --no-install-package gast \
      --no-install-package astunparse --no-install-package opt-einsum --no-install-package google-pasta \
      --no-install-package flatbuffers --no-install-package wrapt --no-install-package rich \
      --no-install-package pygments --no-install-package markdown-it-py --no-install-package mdurl \
      --no-install-package requests --no-install-package urllib3 --no-install-package setuptools \
      --no-install-package wheel
WORKDIR /opt/venv/lib/python3.13/site-packages/tensorflow
# Of compiler/, messages are read.
RUN rm -rf include python lite compiler/mlir compiler/tf2xla _api xla_aot_runtime_src \
 && /opt/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/venv
WORKDIR /build
COPY README.md ./
COPY core ./core
COPY serving ./serving
RUN /opt/uv/bin/uv build --wheel --out-dir /wheel --python /usr/bin/python3 --no-managed-python \
      --build-constraints build.requirements.txt --require-hashes \
 && /opt/uv/bin/uv pip install --python /opt/venv/bin/python --no-deps --compile-bytecode /wheel/*.whl \
 # Nothing that was left out above is missed.
 && /opt/venv/bin/python -c "import serving.server, core.tfserving.client"

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="melanosizer-serving" \
      org.opencontainers.image.description="Model server that speaks TensorFlow Serving's gRPC and REST APIs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates python3 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --user-group --home-dir /nonexistent --shell /usr/sbin/nologin serving
COPY --from=builder /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /
# The number, not the name: Kubernetes compares it with runAsNonRoot.
USER 10001:10001
EXPOSE 8500 8501
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8501/readyz', timeout=2)"]
ENTRYPOINT ["melanosizer-serve"]
CMD ["--model_config_file=/workspace/serving/models.config", "--model_config_file_poll_wait_seconds=1", \
     "--allow_version_labels_for_unavailable_models", "--enable_grpc_healthcheck_service", "--enable_batching"]
