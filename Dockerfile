# The steps are in docs/deploy/build-image.sh, which tests/deploy/test_image.py runs without a container engine.
#
#   docker build --tag orchestrator-service .
#   docker build --tag orchestrator-service:small --build-arg EXTRAS= .      # without the local models and tracing

ARG DEBIAN=trixie

FROM debian:${DEBIAN}-slim AS system
COPY docs/deploy/build-image.sh /usr/local/sbin/build-image.sh
RUN build-image.sh system

FROM system AS build
ARG EXTRAS="documents local otel"
RUN build-image.sh uv
COPY pyproject.toml uv.lock /srv/orchestrator/
COPY clients/python /srv/orchestrator/clients/python
RUN build-image.sh dependencies
COPY . /srv/orchestrator
RUN build-image.sh application

FROM system
COPY --from=build /srv/orchestrator /srv/orchestrator
WORKDIR /srv/orchestrator
# Everything that the service writes lies in these two folders; the rest of the root may be read-only.
VOLUME ["/var/lib/orchestrator", "/tmp"]
ENV PATH=/srv/orchestrator/.venv/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/var/lib/orchestrator \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ENV_FILE=/dev/null \
    DATABASE_URL=/var/lib/orchestrator/orchestrator.db \
    ALLOW_FS_BASE=/var/lib/orchestrator/workspaces \
    TOOL_OUTPUT_DIR=/var/lib/orchestrator/tool_outputs \
    SECRET_KEY_PATH=/var/lib/orchestrator/secret_key
USER 10001:10001
EXPOSE 8010
# SIGTERM starts draining: open runs go on for DRAIN_SECONDS, so stop the container with a longer grace period.
STOPSIGNAL SIGTERM
# /readyz is 503 while the container drains or the database does not answer.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8010/readyz', timeout=4)"]
# tini reaps processes that a killed tool left behind.
ENTRYPOINT ["tini", "--"]
CMD ["python", "manage.py", "serve", "--host", "0.0.0.0", "--port", "8010"]
