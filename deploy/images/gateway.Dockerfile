# syntax=docker/dockerfile:1
# nginx before replicas of the endpoint, as a user without rights. Its configuration is rendered from a serving.yaml and
# mounted: it names replicas and certificates, which are of one place. docs/images.md
#   docker build -f deploy/images/gateway.Dockerfile -t lockstep-gateway:0.1.0 .
# For a release name the base by digest: --build-arg NGINX_IMAGE=docker.io/nginxinc/nginx-unprivileged:1.28-alpine@sha256:...
ARG NGINX_IMAGE=docker.io/nginxinc/nginx-unprivileged:1.28-alpine

FROM ${NGINX_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="lockstep-gateway" \
      org.opencontainers.image.description="nginx before replicas of Lockstep's endpoint" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# Through nginx to a replica; readiness is open to everybody. For a gateway without TLS: -e GATEWAY_HEALTH=http://...
ENV GATEWAY_HEALTH=https://127.0.0.1:8443/ping
USER 101:101
EXPOSE 8443 8444
HEALTHCHECK --interval=10s --timeout=5s --retries=3 \
    CMD ["sh", "-c", "wget --quiet --output-document=/dev/null --no-check-certificate \"$GATEWAY_HEALTH\""]
STOPSIGNAL SIGQUIT
# Its folder is /tmp, where the root file system may be read-only; the access log goes where a container's log goes.
CMD ["sh", "-c", "ln -sf /dev/stdout /tmp/access.log && exec nginx -p /tmp -c /etc/lockstep/gateway/nginx.conf -e stderr -g 'daemon off;'"]
