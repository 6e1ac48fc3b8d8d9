# syntax=docker/dockerfile:1
# Airflow, from the root of the repository. docs/images.md
#   docker build -f deploy/images/airflow.Dockerfile --target control -t lockstep-airflow:0.1.0 .
#   docker build -f deploy/images/airflow.Dockerfile --target task -t lockstep:0.1.0 .
# `control` holds what scheduler, DAG processor, triggerer and API server need; `task` all three environments, for
# whatever runs tasks: the scheduler with LocalExecutor, Celery's workers, pods of the KubernetesExecutor.
ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS sources
WORKDIR /opt/lockstep
COPY LICENSE README.md pyproject.toml ./
COPY requirements requirements
COPY tools/environment.py tools/environment.py
COPY lockstep lockstep
COPY udfs udfs

FROM sources AS build-control
# Providers that the lock has not, such as "apache-airflow-providers-cncf-kubernetes==10.25.0" for the
# KubernetesExecutor, or "apache-airflow-providers-celery==3.26.0 apache-airflow-providers-git==...".
ARG PROVIDERS=""
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# As `make setup-control` does.
RUN --mount=type=cache,target=/var/cache/pip,sharing=locked \
    --mount=type=secret,id=pip,target=/etc/pip.conf \
    export PIP_CACHE_DIR=/var/cache/pip \
    && python3.11 tools/environment.py control \
    && if [ -n "${PROVIDERS}" ]; then \
         echo "${PROVIDERS}" | xargs .venv/control/bin/python -m pip install --constraint requirements/control.lock; \
       fi

FROM build-control AS build-task
# As `make setup-data setup-training` does.
RUN --mount=type=cache,target=/var/cache/pip,sharing=locked \
    --mount=type=secret,id=pip,target=/etc/pip.conf \
    PIP_CACHE_DIR=/var/cache/pip python3.11 tools/environment.py data training

FROM ${PYTHON_IMAGE} AS base
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# 50000 is the user that Airflow's own chart expects.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 50000 airflow \
    && useradd --uid 50000 --gid 50000 --home-dir /opt/airflow --no-log-init --shell /usr/sbin/nologin airflow \
    && install --directory --owner 50000 --group 50000 /opt/airflow /opt/airflow/logs /srv/lockstep
WORKDIR /opt/lockstep
ENV AIRFLOW_HOME=/opt/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/lockstep/dags \
    AIRFLOW__CORE__LOAD_EXAMPLES=False \
    AIRFLOW__USAGE_DATA_COLLECTION__ENABLED=False \
    HOME=/opt/airflow \
    LOCKSTEP_HOME=/srv/lockstep \
    LOCKSTEP_PROJECT=/opt/lockstep \
    PATH=/opt/lockstep/.venv/control/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPATH=/opt/lockstep \
    PYTHONUNBUFFERED=1
COPY dags dags
COPY deploy/airflow deploy/airflow
COPY jobs jobs
COPY models models
COPY spark-conf spark-conf

FROM base AS control
LABEL org.opencontainers.image.title="lockstep-airflow" \
      org.opencontainers.image.description="Airflow with Lockstep's DAGs and plugin"
COPY --from=build-control /opt/lockstep /opt/lockstep
USER 50000:50000
EXPOSE 8080
# One image for several processes: who starts it says how its health is asked for.
HEALTHCHECK NONE
ENTRYPOINT ["/usr/bin/tini", "--"]
CMD ["airflow", "version"]

FROM base AS task
LABEL org.opencontainers.image.title="lockstep" \
      org.opencontainers.image.description="Airflow's tasks: Lockstep with its three environments"
COPY --from=build-task /opt/lockstep /opt/lockstep
ENV LOCKSTEP_DATA_PYTHON=/opt/lockstep/.venv/data/bin/python \
    LOCKSTEP_TRAINING_PYTHON=/opt/lockstep/.venv/training/bin/python
USER 50000:50000
HEALTHCHECK NONE
ENTRYPOINT ["/usr/bin/tini", "--"]
CMD ["airflow", "version"]
