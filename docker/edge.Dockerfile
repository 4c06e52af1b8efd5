# The device's image: Debian 13 with its own Python, so that picamera2 from the distribution fits.
#
#   docker build -f docker/edge.Dockerfile -t melanosizer-edge .
#   docker buildx build --platform linux/arm64 -f docker/edge.Dockerfile -t melanosizer-edge .
#
# Pin the base by digest: --build-arg BASE=debian:trixie-slim@sha256:...
ARG BASE=debian:trixie-slim
# The first stage only unpacks wheels, for any machine: give a native image to spare an emulated pip.
ARG BUILDER=${BASE}

FROM ${BUILDER} AS builder
# The machine the image is for: x86_64 or aarch64; empty is the builder's own.
ARG MACHINE=
# 1 adds the on-device model's runtime (LiteRT).
ARG LITERT=1
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# Debian keeps only its newest point release, so versions cannot be pinned here; the base's digest can.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates python3 python3-pip \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY docker/edge.requirements.txt docker/edge-litert.requirements.txt ./
# Every wheel is checked against the lock's SHA-256. The platform tags go from old glibc to Debian 13's. The lock
# was resolved for this Python; the outdated upper bound of one pure wheel must not stop pip.
# hadolint ignore=DL3013
RUN machine="${MACHINE:-$(uname -m)}" \
 && platforms=() \
 && for tag in manylinux_2_39 manylinux_2_34 manylinux_2_31 manylinux_2_28 manylinux_2_27 manylinux_2_26 \
      manylinux_2_24 manylinux_2_17 manylinux2014; do platforms+=(--platform "${tag}_${machine}"); done \
 && install() { python3 -m pip install --no-cache-dir --no-deps --require-hashes --only-binary=:all: \
      --ignore-requires-python --implementation cp --python-version 3.13 "${platforms[@]}" --target /opt/edge "$@"; } \
 && install -r edge.requirements.txt \
 && if [ "${LITERT}" = 1 ]; then install -r edge-litert.requirements.txt; fi \
 # What no device runs: tests, headers, compilers for other chips, other vendors' accelerators.
 && find /opt/edge -type d \( -name tests -o -name test -o -name testing -o -name include \) \
      -not -path '*/numpy/testing*' -not -path '*/numpy/_core/tests*' -prune -exec rm -rf {} + \
 && rm -rf /opt/edge/numpy/_core/tests /opt/edge/bin /opt/edge/numpy/f2py /opt/edge/numpy/_core/lib \
      /opt/edge/ai_edge_litert/vendors /opt/edge/ai_edge_litert/tools \
      /opt/edge/ai_edge_litert/libLiteRtWebGpuAccelerator.so /opt/edge/ai_edge_litert/*Plugin*.so \
 # Pillow opens JPEG and PNG here and draws no text; nothing here imports setuptools.
 && rm -rf /opt/edge/PIL/_avif* /opt/edge/PIL/_webp* /opt/edge/PIL/_imagingft* /opt/edge/PIL/_imagingcms* \
      /opt/edge/PIL/_imagingtk* /opt/edge/pillow.libs/libavif* /opt/edge/pillow.libs/libwebp* \
      /opt/edge/pillow.libs/libharfbuzz* /opt/edge/pillow.libs/libfreetype* /opt/edge/pillow.libs/liblcms2* \
      /opt/edge/setuptools /opt/edge/setuptools-*.dist-info /opt/edge/_distutils_hack \
      /opt/edge/distutils-precedence.pth \
 && find /opt/edge -name '*.pyi' -delete
COPY core /opt/edge/core
COPY edge /opt/edge/edge
RUN rm -rf /opt/edge/edge/deploy \
 && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/edge/core /opt/edge/edge \
 # Some wheels carry files for other Pythons, which cannot be compiled: those stay as they are.
 && { python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/edge > /dev/null || true; }

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="melanosizer-edge" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.description="The device that photographs a lesion and asks the model server" \
      org.opencontainers.image.licenses="Apache-2.0"
# 1 adds picamera2 from Raspberry Pi's archive (arm64 on a Pi only; about 250 MB more, most of it libcamera).
ARG PICAMERA2=0
ARG RASPBERRYPI_ARCHIVE=http://archive.raspberrypi.com/debian
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates python3 \
 && if [ "${PICAMERA2}" = 1 ]; then \
      apt-get install -y --no-install-recommends gnupg curl \
   && curl -fsSL "${RASPBERRYPI_ARCHIVE}/raspberrypi.gpg.key" \
        | gpg --dearmor -o /usr/share/keyrings/raspberrypi-archive.gpg \
   && echo "deb [signed-by=/usr/share/keyrings/raspberrypi-archive.gpg] ${RASPBERRYPI_ARCHIVE} trixie main" \
        > /etc/apt/sources.list.d/raspberrypi.list \
   && apt-get update \
   && apt-get install -y --no-install-recommends python3-picamera2 python3-lgpio \
   && apt-get purge -y --auto-remove gnupg curl; \
    fi \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/dpkg.log /var/log/apt \
 && useradd --system --uid 10001 --user-group --home-dir /nonexistent --shell /usr/sbin/nologin edge \
 && install -d -o edge -g edge -m 700 /var/lib/melanosizer-edge
COPY --from=builder /opt/edge /opt/edge
ENV PYTHONPATH=/opt/edge \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    XDG_STATE_HOME=/var/lib
USER 10001:10001
VOLUME /var/lib/melanosizer-edge
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
  CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
ENTRYPOINT ["python3", "-m", "edge"]
CMD ["run"]
