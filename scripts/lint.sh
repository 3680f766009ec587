#!/usr/bin/env bash
# Everything that is checked about the code without running it. Each check
# prints a line, and what it found if it found something; all run, then the
# script fails if any did.
set -u
cd "$(dirname "$0")/.." || exit
GO=${GO:-go}
# As the Makefile builds, so that each package is compiled once for all checks.
export GOFLAGS=-trimpath CGO_ENABLED=0
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
  GOOS=$1 GOARCH=$2 "$GO" build -o /dev/null ./... && GOOS=$1 GOARCH=$2 "$GO" vet ./...
}

# shellcheck disable=SC2317
vulnerabilities() { # looks up what is linked; needs the database
  "$GO" tool govulncheck ./services/... ./proto/...
}

# What has to be fetched first is said on the way.
"$GO" tool gofumpt -version >/dev/null 2>&1
check gofumpt silent sh -c "git ls-files -co --exclude-standard '*.go' | xargs $GO tool gofumpt -l"
check vet "$GO" vet ./...
check 'vet for containers' "$GO" vet -tags container ./services/...
check staticcheck "$GO" tool staticcheck ./...
check structure "$GO" test -count=1 ./services/testing/structure
if curl -fsS -m 10 -o /dev/null https://vuln.go.dev/index/db.json 2>/dev/null; then
  check govulncheck vulnerabilities
else
  echo 'lint: govulncheck            skipped: https://vuln.go.dev does not answer'
fi
check 'go mod tidy' "$GO" mod tidy -diff
for module in deploy/compose/e2e services/testing/sdktest; do
  check "${module##*/} vet" "$GO" -C "$module" vet ./...
  check "${module##*/} staticcheck" "$GO" -C "$module" tool staticcheck ./...
  check "${module##*/} go mod tidy" env GOWORK=off "$GO" -C "$module" mod tidy -diff
done
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
