#!/bin/sh
# Prints the interface of a Docker network, for Suricata to listen on.
#
# usage: bridge.sh [--subnet] [NETWORK]     by default openclaw_default
#
# --subnet prints the network's IPv4 subnets instead, by which run.sh finds it again
# when Docker makes it anew.
set -eu

what=bridge
if [ "${1:-}" = --subnet ]; then
  what=subnet
  shift
fi
network=${1:-openclaw_default}

fail() {
  echo "bridge.sh: $*" >&2
  exit 1
}

command -v docker >/dev/null || fail "docker is not installed"
found=$(docker network inspect --format \
  '{{.Driver}} {{slice .Id 0 12}} {{with index .Options "com.docker.network.bridge.name"}}{{.}}{{end}}' "$network" 2>&1) || {
  case $found in
  *"o such network"* | *"not found"*)
    fail "there is no network $network; start OpenClaw first, or name one of: $(docker network ls --filter driver=bridge --format '{{.Name}}' | tr '\n' ' ')"
    ;;
  *) fail "asking Docker: $found" ;;
  esac
}
# shellcheck disable=SC2086 # split into driver, id and, where it is set, name
set -- $found
[ "$1" = bridge ] || fail "the network $network has no bridge on this machine (its driver is $1)"
if [ "$what" = subnet ]; then
  docker network inspect --format '{{range .IPAM.Config}}{{println .Subnet}}{{end}}' "$network" | grep -E '^[0-9.]+/[0-9]+$' | tr '\n' ',' | sed 's/,$//'
  echo
else
  echo "${3:-br-$2}"
fi
