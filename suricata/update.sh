#!/bin/sh
# Fetches public rules for Suricata, tests them, and only then puts them in the
# place of the last ones. Without a network, or with a set that Suricata refuses,
# the last good set stays; with none, the local rules work alone. The exit
# status is 0 unless not even these load.
#
#   SURICATA_UPDATE=off     fetch nothing
#   SURICATA_UPDATE_URLS    sources instead of Emerging Threats Open, with spaces between
#   SURICATA_USER           user and group to become before anything else; as root
set -u
umask 022

config=${SURICATA_CONFIG:-/suricata}
rules=${SURICATA_RULES:-/rules}
limit=${SURICATA_UPDATE_SECONDS:-600}
fresh=$rules/.new

say() { echo "update.sh: $*"; }

# How many rules file $1 has.
count() { grep -cs '^[a-z]' "$1" || [ -r "$1" ] || echo 0; }

# Gives up root: what comes from the network is unpacked and read by a user who may
# write the rules and nothing else.
# shellcheck source=suricata/user.sh
. "$(dirname "$0")/user.sh"
become -all "$rules" "$0"

scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' TERM INT

# Whether Suricata accepts the rules in directory $1 together with the local ones.
loads() {
  suricata -T -c "$config/suricata.yaml" -l "$scratch" --set "default-rule-path=$1" >"$scratch/test.log" 2>&1
}

complaints() { grep -E '^(E|W|Error|Warning)[: ]' "$scratch/test.log" | head -n 5; }

# Fetches a set into $fresh. Without --fail an unreachable source would be
# left out with status 0.
fetch() {
  rm -rf "$fresh"
  mkdir -p "$fresh" "$rules/.cache" || return
  set --
  for url in ${SURICATA_UPDATE_URLS:-}; do set -- "$@" --url "$url"; done
  timeout "$limit" suricata-update --fail --no-test --no-reload --data-dir "$rules/.cache" \
    --output "$fresh" --suricata-conf "$config/suricata.yaml" --disable-conf "$config/disable.conf" "$@" >"$scratch/fetch.log" 2>&1
}

# Names of datasets are made of their content, so that new ones harm no old rule.
replace() {
  if [ -d "$fresh/datasets" ]; then
    mkdir -p "$rules/datasets" && cp -f "$fresh"/datasets/* "$rules/datasets/" || return
  fi
  mv -f "$fresh/suricata.rules" "$rules/suricata.rules"
}

update() {
  if [ "${SURICATA_UPDATE:-on}" = off ]; then
    say "SURICATA_UPDATE is off, nothing is fetched"
  elif ! command -v suricata-update >/dev/null; then
    say "this image has no suricata-update, nothing is fetched"
  elif ! fetch; then
    say "the rules could not be fetched:"
    tail -n 1 "$scratch/fetch.log"
  elif [ "$(count "$fresh/suricata.rules")" = 0 ]; then
    say "what was fetched holds no rule"
  elif ! loads "$fresh"; then
    say "Suricata refuses what was fetched:"
    complaints
  elif ! replace; then
    say "the new rules could not be put in place"
  else
    complaints
    say "new rules are in place"
  fi
  rm -rf "$fresh"
}

if [ ! -e "$rules/suricata.rules" ]; then
  : >"$rules/suricata.rules" || exit 1
fi
update
if loads "$rules"; then
  say "$(count "$rules/suricata.rules") public rules and $(count "$config/rules/openclaw.rules") local ones"
  exit 0
fi
say "Suricata refuses the rules that are in place:"
complaints
mkdir -p "$scratch/none" && : >"$scratch/none/suricata.rules"
if loads "$scratch/none"; then
  say "the local rules load; of the public ones Suricata will leave out what it refuses"
  exit 0
fi
say "not even the local rules load:"
complaints
exit 1
