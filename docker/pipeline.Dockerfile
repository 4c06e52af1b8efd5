# The pipeline: TFX, every component, the command line. One image runs any step on a laptop or a cluster.
#
#   docker build -f docker/pipeline.Dockerfile -t melanosizer-pipeline .
#   docker run --rm -v "$PWD/workspace:/workspace" melanosizer-pipeline quickstart --preset smoke --images 200
#
# Pin the base by digest: --build-arg BASE=debian:trixie-slim@sha256:...
# Debian 13 and nothing older: TFX's wheels need glibc 2.39. Its Python 3.13 is one the lock was resolved for.
ARG BASE=debian:trixie-slim

FROM ${BASE} AS builder
# The compiler is for pyfarmhash and google-apitools, which have no wheels; it stays in this stage.
# Debian keeps only its newest point release, so versions cannot be pinned here; the base's digest can.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates g++ python3 python3-dev python3-venv \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY docker/uv.requirements.txt docker/build.requirements.txt ./
RUN python3 -m venv /opt/uv \
 && /opt/uv/bin/pip install --no-cache-dir --require-hashes --only-binary=:all: -r uv.requirements.txt
COPY pyproject.toml uv.lock ./
ENV UV_PROJECT_ENVIRONMENT=/opt/venv \
    UV_NO_CACHE=1 \
    UV_LINK_MODE=copy
# Bytecode is compiled here: the root of a container is read-only, and TFX's sources take a minute to compile.
# TensorFlow's headers are for building extensions, which nothing here does: 440 MB.
RUN /opt/uv/bin/uv sync --frozen --no-install-project --no-default-groups --extra pipeline \
      --python /usr/bin/python3 --no-managed-python --compile-bytecode \
 && rm -rf /opt/venv/lib/python3.13/site-packages/tensorflow/include
COPY README.md ./
COPY core ./core
COPY pipeline ./pipeline
COPY components ./components
COPY serving ./serving
COPY schemas ./schemas
COPY studies ./studies
# As an installed package it knows its own version, which goes into every record.
RUN /opt/uv/bin/uv build --wheel --out-dir /wheel --python /usr/bin/python3 --no-managed-python \
      --build-constraints build.requirements.txt --require-hashes \
 && /opt/uv/bin/uv pip install --python /opt/venv/bin/python --no-deps --compile-bytecode /wheel/*.whl

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="melanosizer-pipeline" \
      org.opencontainers.image.description="Trains, gates and releases the melanoma classifier" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates python3 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --user-group --home-dir /tmp --shell /usr/sbin/nologin pipeline \
 && install -d -o pipeline -g pipeline -m 755 /workspace
COPY --from=builder /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib
WORKDIR /
# The number, not the name: Kubernetes compares it with runAsNonRoot.
USER 10001:10001
VOLUME /workspace
# A step ends by itself and answers nobody: its exit code is its health.
HEALTHCHECK NONE
ENTRYPOINT ["melanosizer"]
CMD ["--help"]
