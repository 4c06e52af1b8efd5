# The dashboard and HTTP gateway: no TensorFlow, no TFX, no compiler, no root.
#
#   docker build -f docker/dashboard.Dockerfile -t melanosizer-dashboard .
#   docker run -p 127.0.0.1:8600:8600 -v "$PWD/workspace:/workspace" melanosizer-dashboard
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
COPY docker/uv.requirements.txt ./
RUN python3 -m venv /opt/uv \
 && /opt/uv/bin/pip install --no-cache-dir --require-hashes --only-binary=:all: -r uv.requirements.txt
COPY pyproject.toml uv.lock ./
ENV UV_PROJECT_ENVIRONMENT=/opt/venv \
    UV_NO_CACHE=1 \
    UV_LINK_MODE=copy
RUN /opt/uv/bin/uv sync --frozen --no-install-project --no-default-groups --extra dashboard \
      --python /usr/bin/python3 --no-managed-python --compile-bytecode
COPY core /app/core
COPY dashboard /app/dashboard
RUN /opt/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /app

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="melanosizer-dashboard" \
      org.opencontainers.image.description="Dashboard, HTTP gateway and fleet of Melanosizer" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates python3 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --user-group --home-dir /nonexistent --shell /usr/sbin/nologin dashboard
COPY --from=builder /opt/venv /opt/venv
COPY --from=builder /app /app
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MELANOSIZER_DASHBOARD_WORKSPACE=/workspace \
    MELANOSIZER_DASHBOARD_HOST=0.0.0.0
WORKDIR /
# The number, not the name: Kubernetes compares it with runAsNonRoot.
USER 10001:10001
EXPOSE 8600
VOLUME /workspace
HEALTHCHECK --interval=30s --timeout=3s --start-period=20s --retries=3 \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8600/readyz', timeout=2)"]
ENTRYPOINT ["python", "-m", "dashboard"]
