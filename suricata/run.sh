#!/bin/sh
# Runs Suricata on interfaces that may come and go, bounds the space that its
# log takes, and has it load rules that have changed.
#
# usage: run.sh INTERFACE[,INTERFACE ...] [option of suricata ...]
#
# An interface is given by its name, by a pattern such as br-*, or by the subnet of
# its network, such as 172.20.0.0/16: Docker gives a network that it makes anew
# another bridge, as a rule with the same subnet.
#
# Suricata alone gives up when an interface is missing, and when it is removed
# and made anew, as a container network is, Suricata goes on with the old one,
# which is silent. So this script waits for one of the interfaces and starts Suricata
# again when they are others than before.
#
#   SURICATA_LOG_MAX_BYTES   size at which eve.json becomes eve.json.1 (64 MiB)
#   SURICATA_LOG_KEEP        how many of those are kept (8)
#   SURICATA_USER            user and group (65533:65533) to become before anything
#                            else, with the rights to capture and no others; as root
set -u
umask 022

config=${SURICATA_CONFIG:-/suricata}
rules=${SURICATA_RULES:-/rules}
logs=${SURICATA_LOGS:-/logs}
# Exists while packets are being captured; a health check looks at it.
capturing=${SURICATA_CAPTURING:-/run/capturing}
interfaces=${SURICATA_INTERFACES:-/sys/class/net}
routes=${SURICATA_ROUTES:-/proc/net/route}
max=${SURICATA_LOG_MAX_BYTES:-67108864}
keep=${SURICATA_LOG_KEEP:-8}
every=${SURICATA_CHECK_SECONDS:-2}

wanted=${1:-}
if [ -z "$wanted" ]; then
  echo "run.sh: no interface given; suricata/bridge.sh NETWORK prints that of a Docker network" >&2
  exit 64
fi
shift
eve=$logs/eve.json
pid=
stopping=

say() { echo "run.sh: $*"; }

# Gives up root: what reads foreign packets may capture and write its log, no more.
# Suricata can itself change its user, but this script, which moves its files,
# would be root still.
# shellcheck source=suricata/user.sh
. "$(dirname "$0")/user.sh"
become -all,+net_admin,+net_raw,+sys_nice "$logs ${capturing%/*}" "$0" "$wanted" "$@"

# The interface of a subnet, by the routes of the machine, in which addresses are
# numbers in hex with the last byte first.
of_subnet() {
  awk -v subnet="$1" '
    BEGIN {
      split(subnet, part, "[./]")
      for (n = 4; n > 0; n--) {
        address = address sprintf("%02X", part[n])
        bits = part[5] - 8 * (n - 1)
        bits = bits < 0 ? 0 : bits > 8 ? 8 : bits
        mask = mask sprintf("%02X", 256 - 2 ^ (8 - bits))
      }
    }
    $2 == address && $8 == mask && $1 != "Iface" { print $1 }' "$routes" 2>/dev/null
}

# The interfaces that there are of those that are wanted, a line each, with the
# number that changes when one is removed and made again.
present() {
  (
    set -f
    IFS=,
    for entry in $wanted; do
      case $entry in
      "") ;;
      */*) of_subnet "$entry" ;;
      *)
        set +f
        for path in "$interfaces"/$entry; do echo "${path##*/}"; done
        set -f
        ;;
      esac
    done
  ) | sort -u | while IFS= read -r name; do
    number=$(cat "$interfaces/$name/ifindex" 2>/dev/null) && [ -n "$number" ] && echo "$name $number"
  done
}

# Changes when rules do: update.sh puts a new file in place of the old one.
stamp() { stat -c '%i %Y' "$rules/suricata.rules" "$config/rules/openclaw.rules" 2>/dev/null; }

# A sleep in the background, as a signal is only heeded between commands.
pause() {
  sleep "$every" &
  wait $!
}

await_interface() {
  [ -n "$(present)" ] && return
  say "waiting for the interface $wanted; suricata/bridge.sh NETWORK prints that of a Docker network"
  while [ -z "$stopping" ] && [ -z "$(present)" ]; do pause; done
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
  was=$(present)
  captures=$(printf '%s\n' "$was" | sed 's/^/-i /; s/ [0-9]*$//' | tr '\n' ' ')
  stamp=$(stamp)
  finish_line
  # shellcheck disable=SC2086 # two words for each interface
  suricata -c "$config/suricata.yaml" $captures -k none -l "$logs" "$@" &
  pid=$!
  [ -z "$stopping" ] || kill -TERM "$pid"
  : >"$capturing"
  gone=
  while kill -0 "$pid" 2>/dev/null; do
    pause
    [ -z "$stopping" ] || continue
    if [ "$(present)" != "$was" ]; then
      say "the interfaces have changed"
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
  if [ -z "$gone" ] && [ -n "$(present)" ]; then
    say "suricata has ended with status $code"
    exit "$code"
  fi
done
