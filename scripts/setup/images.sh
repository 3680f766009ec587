# shellcheck shell=bash
# Building and pulling. Part of setup.sh.

build_images() {
  local revision epoch
  revision=$(git rev-parse HEAD 2>/dev/null) || revision=unknown
  epoch=$(git log -1 --format=%ct 2>/dev/null) || epoch=0
  note "the first time takes some minutes"
  SECURITY_REVISION=$revision SOURCE_DATE_EPOCH=$epoch compose build ||
    die "the images could not be built" \
      "The message above says why. It needs the base images (golang, nats) and the Go modules: from the network, or from before."
  ok "images are built, with the tag $(value_of SECURITY_VERSION)"
}

# The services that are not left out.
services() {
  local service
  compose config --services | while IFS= read -r service; do
    case $service in
    security-suricata* | security-shipper-suricata) [ "$(value_of SURICATA_REPLICAS)" != 0 ] || continue ;;
    security-tracee | security-shipper-tracee) [ "$(value_of TRACEE_REPLICAS)" != 0 ] || continue ;;
    esac
    echo "$service"
  done
}

pull_images() {
  local all image
  all=$(services)
  # shellcheck disable=SC2086 # one argument for each service
  all=$(compose config --images $all | grep -v '^openclaw-security/' | sort -u || true)
  for image in $all; do
    if docker pull --quiet "$image" >/dev/null 2>&1; then
      ok "$image is up to date"
    elif docker image inspect "$image" >/dev/null 2>&1; then
      note "$image could not be looked up; the copy that is here is used"
    else
      die "$image could not be pulled" "docker pull $image says why." \
        "A copy elsewhere can be named with SURICATA_IMAGE or TRACEE_IMAGE; --without-suricata and --without-tracee leave a sensor out."
    fi
  done
}
