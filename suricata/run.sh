#!/bin/sh
# Runs Suricata on an interface that may come and go, bounds the space that its
# log takes, and has it load rules that have changed.
#
# usage: run.sh INTERFACE [option of suricata ...]
#
# Suricata alone gives up when the interface is missing, and when it is removed
# and made anew, as a container network is, Suricata goes on with the old one,
# which is silent. So this script waits for the interface and starts Suricata
# again when it is another one of the same name.
#
#   SURICATA_LOG_MAX_BYTES   size at which eve.json becomes eve.json.1 (64 MiB)
#   SURICATA_LOG_KEEP        how many of those are kept (8)
set -u
umask 022

config=${SURICATA_CONFIG:-/suricata}
rules=${SURICATA_RULES:-/rules}
logs=${SURICATA_LOGS:-/logs}
# Exists while packets are being captured; a health check looks at it.
capturing=${SURICATA_CAPTURING:-/run/capturing}
interfaces=${SURICATA_INTERFACES:-/sys/class/net}
max=${SURICATA_LOG_MAX_BYTES:-67108864}
keep=${SURICATA_LOG_KEEP:-8}
every=${SURICATA_CHECK_SECONDS:-2}

interface=${1:-}
if [ -z "$interface" ]; then
  echo "run.sh: no interface given; suricata/bridge.sh NETWORK prints that of a Docker network" >&2
  exit 64
fi
shift
eve=$logs/eve.json
pid=
stopping=

say() { echo "run.sh: $*"; }

# Changes when the interface is removed and made again.
index() { cat "$interfaces/$interface/ifindex" 2>/dev/null; }

# Changes when rules do: update.sh puts a new file in place of the old one.
stamp() { stat -c '%i %Y' "$rules/suricata.rules" "$config/rules/openclaw.rules" 2>/dev/null; }

# A sleep in the background, as a signal is only heeded between commands.
pause() {
  sleep "$every" &
  wait $!
}

await_interface() {
  [ -n "$(index)" ] && return
  say "waiting for the interface $interface; suricata/bridge.sh NETWORK prints that of a Docker network"
  while [ -z "$stopping" ] && [ -z "$(index)" ]; do pause; done
}

# What a killed Suricata wrote of its last line must not swallow the next one.
finish_line() {
  [ -s "$eve" ] && [ -n "$(tail -c 1 "$eve")" ] && echo >>"$eve"
}

rotate() {
  size=$(stat -c %s "$eve" 2>/dev/null) || return
  [ "$size" -ge "$max" ] || return
  n=$keep
  while [ "$n" -gt 1 ]; do
    older=$n n=$((n - 1))
    [ ! -e "$eve.$n" ] || mv -f "$eve.$n" "$eve.$older"
  done
  mv -f "$eve" "$eve.1"
  kill -HUP "$pid"
}

reload() {
  now=$(stamp)
  [ "$now" != "$stamp" ] || return
  stamp=$now
  say "loading the rules again"
  kill -USR2 "$pid"
}

# Ends Suricata, at the latest after ten checks by force.
end() {
  kill -TERM "$pid" 2>/dev/null
  checks=10
  while kill -0 "$pid" 2>/dev/null && [ "$checks" -gt 0 ]; do
    pause
    checks=$((checks - 1))
  done
  kill -KILL "$pid" 2>/dev/null
}

trap 'stopping=1; [ -z "$pid" ] || kill -TERM "$pid" 2>/dev/null' TERM INT
trap 'rm -f "$capturing"' EXIT

while :; do
  await_interface
  [ -z "$stopping" ] || exit 0
  was=$(index)
  stamp=$(stamp)
  finish_line
  suricata -c "$config/suricata.yaml" -i "$interface" -k none -l "$logs" "$@" &
  pid=$!
  [ -z "$stopping" ] || kill -TERM "$pid"
  : >"$capturing"
  gone=
  while kill -0 "$pid" 2>/dev/null; do
    pause
    [ -z "$stopping" ] || continue
    if [ "$(index)" != "$was" ]; then
      say "the interface $interface is gone"
      gone=1
      end
    else
      rotate
      reload
    fi
  done
  wait "$pid"
  code=$?
  pid=
  rm -f "$capturing"
  [ -z "$stopping" ] || exit 0
  if [ -z "$gone" ] && [ -n "$(index)" ]; then
    say "suricata has ended with status $code"
    exit "$code"
  fi
done
