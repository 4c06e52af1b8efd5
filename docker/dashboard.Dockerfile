# The dashboard and HTTP gateway: no TensorFlow, no TFX, no compiler, no root.
#   docker build -f docker/dashboard.Dockerfile -t melanosizer-dashboard .
#   docker run -p 127.0.0.1:8600:8600 -v "$PWD/workspace:/workspace" melanosizer-dashboard
ARG BASE=python:3.11-slim-trixie

FROM ${BASE} AS build
RUN pip install --no-cache-dir "uv>=0.9,<1"
WORKDIR /src
COPY pyproject.toml uv.lock ./
RUN UV_PROJECT_ENVIRONMENT=/opt/dashboard uv sync --frozen --no-install-project --no-default-groups \
        --group dashboard --python "$(command -v python3)" --no-managed-python \
    && /opt/dashboard/bin/python -m compileall -q /opt/dashboard

FROM ${BASE}
LABEL org.opencontainers.image.title="melanosizer-dashboard" \
      org.opencontainers.image.licenses="Apache-2.0"
# The number, not the name: Kubernetes compares it with runAsNonRoot.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin dashboard
COPY --from=build /opt/dashboard /opt/dashboard
COPY dashboard /app/dashboard
WORKDIR /app
RUN /opt/dashboard/bin/python -m compileall -q dashboard
ENV PATH=/opt/dashboard/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MELANOSIZER_DASHBOARD_WORKSPACE=/workspace \
    MELANOSIZER_DASHBOARD_HOST=0.0.0.0
USER 10001
EXPOSE 8600
VOLUME /workspace
HEALTHCHECK --interval=30s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8600/readyz', timeout=2)"]
ENTRYPOINT ["python", "-m", "dashboard"]
