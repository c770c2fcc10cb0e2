#!/bin/sh
# The steps of the container image. The Dockerfile calls one step per layer; tests/deploy/test_image.py calls the same
# steps in an empty Debian root. Every step runs as root inside the root file system that becomes the image.
#
#   build-image.sh system         install Python, git and certificates; make the user and the data folder
#   build-image.sh uv             install uv, for the build stage only
#   build-image.sh dependencies   install what uv.lock names, with the extras in $EXTRAS
#   build-image.sh application    compile the code, so that a read-only root file system costs no start-up time
set -eu

APP_DIR=/srv/orchestrator
DATA_DIR=/var/lib/orchestrator
UV_DIR=/opt/uv
UV_VERSION="${UV_VERSION:-0.13.9}"
USER_ID=10001
EXTRAS="${EXTRAS-documents local otel}"

case "${1:-}" in
system)
    apt-get update
    # libgomp1 is for the local models, whose wheels do not include it.
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
        ca-certificates git libgomp1 python3 tini
    rm -rf /var/lib/apt/lists/*
    groupadd --gid "$USER_ID" orchestrator
    useradd --uid "$USER_ID" --gid "$USER_ID" --home-dir "$DATA_DIR" --no-create-home --shell /usr/sbin/nologin orchestrator
    install --directory --owner=orchestrator --group=orchestrator --mode=0750 "$DATA_DIR"
    install --directory "$APP_DIR"
    ;;
uv)
    apt-get update
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends python3-venv
    rm -rf /var/lib/apt/lists/*
    python3 -m venv "$UV_DIR"
    "$UV_DIR/bin/pip" install --quiet --no-cache-dir "uv==$UV_VERSION"
    ;;
dependencies)
    # pyproject.toml, uv.lock and the package in clients/python are enough here, so that a change of the service's code
    # does not install everything again.
    set --
    for extra in $EXTRAS; do
        set -- "$@" --extra "$extra"
    done
    cd "$APP_DIR"
    UV_PYTHON=/usr/bin/python3 UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy \
        "$UV_DIR/bin/uv" sync --locked --no-dev --no-cache --compile-bytecode "$@"
    ;;
application)
    cd "$APP_DIR"
    .venv/bin/python -m compileall -q -x '/\.venv/' .
    # A failed build is better than an image that cannot start: load the settings and run Django's checks once.
    check_dir="$(mktemp --directory)"
    ENV_FILE=/dev/null SECRET_KEY=build DATABASE_URL="$check_dir/build.db" ALLOW_FS_BASE="$check_dir/workspaces" \
        TOOL_OUTPUT_DIR="$check_dir/tool_outputs" .venv/bin/python manage.py check
    rm -rf "$check_dir"
    ;;
*)
    echo "usage: $0 system | uv | dependencies | application" >&2
    exit 2
    ;;
esac
