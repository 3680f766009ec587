#!/bin/sh
# Runs Tracee and bounds the space that its events take.
#
# usage: run.sh [option of tracee ...]
#
# Tracee 0.24 never rotates its file, and empties it whenever it starts, read or
# not. So it writes into a pipe, and awk appends what comes out to the file and
# moves it when it is full, between two lines.
#
# Where OpenClaw runs without a container, OPENCLAW_NATIVE_HOME is the home directory
# of its user; then the policies of the directory native are loaded, too.
#
#   OPENCLAW_STATE_DIR     OpenClaw's state directory, if not .openclaw in there
#   TRACEE_LOG_MAX_BYTES   size at which events.json becomes events.json.1 (64 MiB)
#   TRACEE_LOG_KEEP        how many of those are kept (8)
set -u
umask 022

events=${TRACEE_EVENTS:-/var/lib/tracee/events.json}
policies=${TRACEE_POLICIES:-/openclaw/policies}
program=${TRACEE_PROGRAM:-/tracee/tracee}
native=${TRACEE_NATIVE:-/openclaw/native}
rendered=${TRACEE_RENDERED:-/tmp/native-policies}
pipe=${TRACEE_PIPE:-/tmp/events.pipe}
max=${TRACEE_LOG_MAX_BYTES:-67108864}
keep=${TRACEE_LOG_KEEP:-8}
tracee=
stopping=

fail() {
  echo "run.sh: $*" >&2
  exit 64
}

# Tracee takes a comma, an equals sign and an asterisk in a path for its own.
check_path() {
  case $2 in
  *[!A-Za-z0-9/._@+-]* | *//* | */../* | */.. | */) fail "$1 is a path that Tracee cannot watch: letters, digits and /._@+- only, without a slash at the end" ;;
  /*) ;;
  *) fail "$1 must be an absolute path" ;;
  esac
}

if [ -n "${OPENCLAW_NATIVE_HOME:-}" ]; then
  check_path OPENCLAW_NATIVE_HOME "$OPENCLAW_NATIVE_HOME"
  state=${OPENCLAW_STATE_DIR:-$OPENCLAW_NATIVE_HOME/.openclaw}
  check_path OPENCLAW_STATE_DIR "$state"
  mkdir -p "$rendered" || exit 1
  for policy in "$native"/*.yaml; do
    sed -e "s#@HOME@/\.openclaw/#$state/#" -e "s#=\*/\.openclaw/#=$state/#" -e "s#@HOME@#$OPENCLAW_NATIVE_HOME#" "$policy" >"$rendered/${policy##*/}" || exit 1
  done
  set -- --policy "$rendered" "$@"
fi

mkdir -p "$(dirname "$events")" || exit 1
rm -f "$pipe"
mkfifo -m 600 "$pipe" || exit 1

# What a killed Tracee wrote of its last line must not swallow the next one.
[ -s "$events" ] && [ -n "$(tail -c 1 "$events")" ] && echo >>"$events"
size=$(stat -c %s "$events" 2>/dev/null) || size=0

# Lengths are in bytes in this locale.
LC_ALL=C awk -v file="$events" -v size="$size" -v max="$max" -v keep="$keep" '
  {
    print >>file
    fflush(file)
    size += length($0) + 1
    if (size < max) next
    close(file)
    for (n = keep; n > 1; n--)
      system("[ ! -e \"" file "." n - 1 "\" ] || mv -f \"" file "." n - 1 "\" \"" file "." n "\"")
    system("mv -f \"" file "\" \"" file ".1\"")
    size = 0
  }' <"$pipe" &
writer=$!

trap 'stopping=1; [ -z "$tracee" ] || kill -TERM "$tracee" 2>/dev/null' TERM INT
"$program" --output json --output option:parse-arguments --policy "$policies" "$@" >"$pipe" &
tracee=$!
# A signal that came before its number was known.
[ -z "$stopping" ] || kill -TERM "$tracee" 2>/dev/null

# A signal ends a wait early.
wait "$tracee"
code=$?
while kill -0 "$tracee" 2>/dev/null; do
  wait "$tracee"
  code=$?
done
wait "$writer"
rm -f "$pipe"
exit "$code"
