#!/usr/bin/env bash
# The tests that need a Docker engine: images and compose files, in containers.
# Without an engine they are skipped, with a line that says so.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! docker info >/dev/null 2>&1; then
  echo "test-docker: skipped: no Docker engine answers (docker info)"
  exit 0
fi
if ! docker compose version >/dev/null 2>&1; then
  echo "test-docker: skipped: docker compose v2 is not installed"
  exit 0
fi
# The tests end what they have started themselves.
export TESTCONTAINERS_RYUK_DISABLED=true
export TESTCONTAINERS_HOST_OVERRIDE=${TESTCONTAINERS_HOST_OVERRIDE:-localhost}
(cd deploy/compose/e2e && "${GO:-go}" test -count=1 -timeout 30m ./... "$@")
./scripts/setup_test.sh
