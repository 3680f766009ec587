#!/bin/sh
# Builds all programs of the images into /out, one directory each; run by the
# Dockerfile, which mounts Go's caches. VERSION is what --version prints,
# SOURCE_DATE_EPOCH the time that all files get, so that the same source gives
# the same layers.
set -eu

program() { # program NAME PACKAGE [TAGS]
  echo "building $1"
  go build -tags "timetzdata,${3:-}" -o "/out/$1/$1" \
    -ldflags "-s -w -buildid= -X github.com/openclaw-security/bus/services/internal/daemon.version=$VERSION" "$2"
}

for service in shipper proxy notifier auditor guard-stub; do
  program "$service" "./services/$service/cmd/$service"
done
program secbus ./services/secbus container
program natsprobe ./deploy/compose/natsprobe
program fake-llm ./services/internal/llmtest/cmd/fake-llm
program fake-telegram ./services/internal/telegramtest/cmd/fake-telegram
program fake-sensor ./services/secbus/internal/demo/cmd/fake-sensor

# What a service writes is its own from the beginning: a volume takes owner and
# mode from the image that first mounts it.
mkdir -p /out/data/data /out/keys/server
for holder in shipper-suricata shipper-tracee proxy notifier auditor provisioner operator sources; do
  mkdir -p "/out/keys/seeds/$holder"
done
chmod 700 /out/data/data /out/keys/server /out/keys/seeds/*
mkdir -p /out/certs/etc/ssl/certs /out/mappings
cp /etc/ssl/certs/ca-certificates.crt /out/certs/etc/ssl/certs/
cp -r mappings /out/mappings/
find /out -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
