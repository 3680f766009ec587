#!/usr/bin/env bash
# record.sh BIN OUT: records the data directory of a release for the tests here.
# BIN holds secbus and proxy of that release and its stand-ins fake-llm and
# fake-telegram. Run it at the top of that release's tree. OUT is the archive.
#
# It runs everything twice, on the first half of each sensor's recording and half
# a line more: once to an orderly end, once until SIGKILL in the middle of a
# delivery that Telegram has accepted. Then a proxy runs without a bus, and is
# killed, so that the spool holds records that no stream has.
set -euo pipefail
bin=$(realpath "$1") out=$(realpath "$2")
dir=$(mktemp -d)
pids=()
cleanup() { kill -9 "${pids[@]}" 2>/dev/null || true; rm -rf "$dir"; }
trap cleanup EXIT

start() { # NAME COMMAND...: in the background; its output is in $dir/NAME.log
  local name=$1
  shift
  "$@" >"$dir/$name.log" 2>&1 &
  pids+=("$!")
  last=$!
}
await() { # COMMAND...: until it succeeds
  for _ in $(seq 300); do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.1
  done
  echo "record.sh: waited in vain for: $*" >&2
  cat "$dir"/*.log >&2
  exit 1
}
start telegram "$bin/fake-telegram" --listen 127.0.0.1:18081 --chat 7001
start llm "$bin/fake-llm" --listen 127.0.0.1:18082 --key sk-ant-api03-recorded-for-a-test
await grep -q http "$dir/telegram.log"
await grep -q http "$dir/llm.log"

years=876000h # so that nothing is too old when a test reads it
export XDG_CONFIG_HOME=$dir/config OPENCLAW_HOST=box1 ADMIN_ADDR=127.0.0.1:19600 PROXY_ADDR=127.0.0.1:18080 \
  SECURITY_MAX_AGE=$years SECURITY_ALERTS_MAX_AGE=$years SECURITY_AUDIT_MAX_AGE=$years SECURITY_DEAD_MAX_AGE=$years \
  SENSOR_SILENCE=0s DAILY_REPORT_HOUR='' ALERT_MIN_SEVERITY=low ALERT_MAX_PER_MINUTE=60 AUDIT_CHECKPOINT_EVERY=1s \
  TELEGRAM_API=http://127.0.0.1:18081 TELEGRAM_CHAT_ID=7001 TELEGRAM_BOT_TOKEN='7204815936:AAFakeTokenOfTheTestServer_q3Zx9-v2kLm' \
  PROXY_CANARIES=canary-of-the-recording PROXY_DETECTIONS=canary=observe \
  LLM_API_BASE=http://127.0.0.1:18082 LLM_API_KEY=sk-ant-api03-recorded-for-a-test \
  SURICATA_EVE_PATH=$dir/recording/sensors/eve.json TRACEE_EVENTS_PATH=$dir/recording/sensors/events.json \
  SECBUS_DATA=$dir/recording/data

mkdir -p "$dir/recording/sensors" "$dir/recording/later"
declare -A whole=([eve.json]=suricata/testdata/suricata-8.eve.json [events.json]=tracee/testdata/tracee-0.24.events.json)
put() { # FILE FROM TO: appends these lines of its recording
  sed -n "$2,$3p" "${whole[$1]}" >>"$dir/recording/sensors/$1"
}
half() { # FILE N: appends the first hundred bytes of line N; the rest comes later
  sed -n "$2p" "${whole[$1]}" | head -c 100 >>"$dir/recording/sensors/$1"
  { sed -n "$2p" "${whole[$1]}" | tail -c +101; tail -n "+$(($2 + 1))" "${whole[$1]}"; } >"$dir/recording/later/$1"
}
up() {
  start "$1" "$bin/secbus" up --listen 127.0.0.1:14222
  up=$last
  await curl -sf http://127.0.0.1:19600/readyz
}
ask() { # TEXT: one request through the proxy
  curl -s http://127.0.0.1:18080/v1/messages -H 'anthropic-version: 2023-06-01' -H 'content-type: application/json' \
    -d "{\"model\":\"claude-sonnet-4-5\",\"max_tokens\":100,\"messages\":[{\"role\":\"user\",\"content\":\"$1\"}]}" >/dev/null
}
stored() { # SOURCE N: that so many of its events are stored
  [ "$("$bin/secbus" replay --all --json --since 24h --source "$1" | wc -l)" -ge "$2" ]
}
delivered() { # N
  [ "$(curl -s http://127.0.0.1:18081/_messages | grep -o '"message_id"' | wc -l)" -ge "$1" ]
}

put eve.json 1 12
put events.json 1 15
up first
"$bin/secbus" silence add '$.rule.id == "9900008"' --for 0 --comment 'a known download'
ask 'hello'
ask 'and again'
await stored suricata 12
await stored tracee 15
await delivered 1
sleep 5 # for the rest of the messages, and the auditor
kill -TERM "$up"
wait "$up"

up second
put eve.json 13 20
put events.json 16 28
ask 'in the second run, canary-of-the-recording'
await stored suricata 20
await stored tracee 28
sleep 5
curl -sf http://127.0.0.1:18081/_control --data-binary 'stuck'
put eve.json 21 23
half eve.json 24
put events.json 29 32
half events.json 33
await stored suricata 23
await stored tracee 32
sleep 5
kill -9 "$up"
wait "$up" || true
curl -s http://127.0.0.1:18081/_messages >"$dir/recording/telegram.json"

export NATS_URL=nats://127.0.0.1:1 NATS_NKEY_SEED_FILE=$SECBUS_DATA/keys/proxy.nk ADMIN_ADDR=
export PROXY_AUDIT_DIR=$SECBUS_DATA/proxy-audit
start proxy "$bin/proxy"
await bash -c 'exec 3<>/dev/tcp/127.0.0.1/18080'
ask 'while there is no bus'
ask 'and once more, canary-of-the-recording'
kill -9 "$last"
wait "$last" || true

rm -f "$SECBUS_DATA/endpoint.json"
if grep -rlF "$dir" "$dir/recording"; then echo 'record.sh: these name the directory of the recording' >&2; fi
tar -C "$dir/recording" --sort=name --owner=0 --group=0 --numeric-owner -czf "$out" .
du -h "$out"
