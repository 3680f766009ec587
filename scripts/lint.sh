#!/usr/bin/env bash
# Everything that is checked about the code without running it. Each check
# prints a line, and what it found if it found something; all run, then the
# script fails if any did.
set -u
cd "$(dirname "$0")/.." || exit
GO=${GO:-go}
failed=0

check() { # check NAME COMMAND...: fails if the command fails
  local name=$1 out
  shift
  if out=$("$@" 2>&1); then
    printf 'lint: %-22s ok\n' "$name"
  else
    printf 'lint: %-22s FAILED\n%s\n' "$name" "$out"
    failed=1
  fi
}

# shellcheck disable=SC2317 # called by check
silent() { # silent COMMAND...: fails if the command prints anything
  local out
  out=$("$@" 2>&1) && [ -z "$out" ] && return
  printf '%s\n' "$out"
  return 1
}

# shellcheck disable=SC2317
cross() { # cross GOOS GOARCH: every package and test compiles there
  GOOS=$1 GOARCH=$2 CGO_ENABLED=0 "$GO" build -o /dev/null ./... && GOOS=$1 GOARCH=$2 CGO_ENABLED=0 "$GO" vet ./...
}

check gofumpt silent sh -c "git ls-files -co --exclude-standard '*.go' | xargs $GO tool gofumpt -l"
check vet "$GO" vet ./...
check staticcheck "$GO" tool staticcheck ./...
check 'go mod tidy' "$GO" mod tidy -diff
check 'e2e vet' "$GO" -C deploy/compose/e2e vet ./...
check 'e2e staticcheck' "$GO" -C deploy/compose/e2e tool staticcheck ./...
check 'e2e go mod tidy' env GOWORK=off "$GO" -C deploy/compose/e2e mod tidy -diff
check 'go mod verify' "$GO" mod verify
check 'without go.work' env GOWORK=off "$GO" build -o /dev/null ./...
check 'linux/arm64' cross linux arm64
check 'darwin/arm64' cross darwin arm64
mapfile -t scripts < <(git ls-files -co --exclude-standard '*.sh' .ci/run)
# shellcheck disable=SC2016 # expanded by the shell that it is for
check 'shell syntax' bash -c 'for f; do bash -n "$f" || exit 1; done' - "${scripts[@]}"
if command -v shellcheck >/dev/null; then
  # The parts of setup.sh are checked with it.
  mapfile -t whole < <(printf '%s\n' "${scripts[@]}" | grep -v '^scripts/setup/')
  check shellcheck shellcheck -x "${whole[@]}"
else
  echo 'lint: shellcheck             skipped: it is not installed'
fi
exit $failed
