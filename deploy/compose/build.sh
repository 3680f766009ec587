#!/bin/sh
# Builds all programs of the images into /rootfs, one directory each; run by the
# Dockerfile, which mounts Go's caches. VERSION is what --version prints, GOARCH
# the processor that the programs are for. All files get the same time in
# every version: a builder treats a layer with the same content as the same layer
# even if its times differ, and the same source must give the same layers.
set -eu

program() { # program NAME PACKAGE [TAGS]
  echo "building $1"
  go build -tags "timetzdata,${3:-}" -o "/rootfs/$1/$1" \
    -ldflags "-s -w -buildid= -X github.com/openclaw-security/bus/services/internal/daemon.version=$VERSION" "$2"
}

for service in shipper proxy notifier auditor guard-stub; do
  program "$service" "./services/$service/cmd/$service"
done
program secbus ./services/secbus container
program natsprobe ./deploy/compose/natsprobe
program fake-llm ./services/testing/llmtest/cmd/fake-llm
program fake-telegram ./services/testing/telegramtest/cmd/fake-telegram
program fake-sensor ./services/testing/sensortest/cmd/fake-sensor

# What a service writes is its own from the beginning: a volume takes owner and
# mode from the image that first mounts it.
mkdir -p /rootfs/data/data /rootfs/keys/server
for holder in shipper-suricata shipper-tracee proxy notifier auditor provisioner operator sources; do
  mkdir -p "/rootfs/keys/seeds/$holder"
done
chmod 700 /rootfs/data/data /rootfs/keys/server /rootfs/keys/seeds/*
mkdir -p /rootfs/certs/etc/ssl/certs /rootfs/mappings
cp /etc/ssl/certs/ca-certificates.crt /rootfs/certs/etc/ssl/certs/
cp -r mappings /rootfs/mappings/
find /rootfs -exec touch -h -d @0 {} +
