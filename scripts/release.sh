#!/usr/bin/env bash
# Builds what a release consists of into dist/: static programs for each platform,
# what is linked into each of them as a CycloneDX document, images for both
# processors where buildx can build them, and the checksums of all that. The same
# commit gives the same programs, on every machine, at any time.
set -euo pipefail
cd "$(dirname "$0")/.."
GO=${GO:-go}
VERSION=${VERSION:-$(git describe --tags --always --dirty)}
SBOM=github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH CGO_ENABLED=0 GOFLAGS=-trimpath GOWORK=off
rm -rf dist

for platform in linux/amd64 linux/arm64 darwin/arm64; do
  dir=dist/${platform/\//_}
  mkdir -p "$dir"
  echo "release: $VERSION for $platform"
  GOOS=${platform%/*} GOARCH=${platform#*/} "$GO" build -buildvcs=false -o "$dir/" \
    -ldflags "-s -w -buildid= -X github.com/openclaw-security/bus/services/internal/daemon.version=$VERSION" \
    ./services/secbus ./services/*/cmd/*
done

tools=$PWD/.cache/tools
if [ -x "$tools/cyclonedx-gomod" ] || GOBIN=$tools "$GO" install "$SBOM" 2>/dev/null; then
  for program in dist/*/*; do
    "$tools/cyclonedx-gomod" bin -json -noserial -version "$VERSION" -output - "$program" 2>/dev/null |
      grep -v '^ *"timestamp":' >"$program.cdx.json"
  done
else
  echo "release: no CycloneDX documents: $SBOM cannot be installed"
fi

if ! docker buildx version >/dev/null 2>&1; then
  echo 'release: no images: docker buildx is not installed'
elif ! docker buildx inspect 2>/dev/null | grep -q '^Driver: *\(docker-container\|kubernetes\|remote\)'; then
  echo 'release: no images: the builder of docker buildx builds for one platform only (docker buildx create --use)'
else
  mkdir dist/images
  for image in secbus nats shipper proxy notifier auditor guard-stub; do
    echo "release: image $image"
    docker buildx build --quiet --platform linux/amd64,linux/arm64 -f deploy/compose/Dockerfile --target "$image" \
      --build-arg VERSION="$VERSION" --build-arg REVISION="$(git rev-parse HEAD)" --build-arg SOURCE_DATE_EPOCH \
      --tag "openclaw-security/$image:$VERSION" --output "type=oci,dest=dist/images/$image.tar,rewrite-timestamp=true" .
  done
fi

sum=(sha256sum)
command -v sha256sum >/dev/null || sum=(shasum -a 256)
(cd dist && find . -type f | LC_ALL=C sort | xargs "${sum[@]}" >../SHA256SUMS && mv ../SHA256SUMS .)
echo "release: $(wc -l <dist/SHA256SUMS | tr -d ' ') files in dist, listed in dist/SHA256SUMS"
