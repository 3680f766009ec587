#!/usr/bin/env bash
# Tests setup.sh in a copy of the source: what it refuses, what it writes and
# what it asks against a Docker that is made up, then the whole on a real engine,
# twice and until nothing is left. It needs python3, for terminals and ports.
#
# The second part needs the engine for itself, because the names of the stack's
# containers are fixed; it is skipped while there are any.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

work=$(mktemp -d)
tree=$work/tree
bin=$work/bin
home=$work
real_docker=$(command -v docker || true)
docker compose version >/dev/null 2>&1 || real_docker=
failures=0
out=
status=0
cleanup=true
trap 'eval "$cleanup"; rm -rf "$work"' EXIT

readonly token=987654321:AAsecretSecretSecretSecretSecret-_x
# shellcheck disable=SC2016 # nothing in it is to be expanded, here or there
readonly key='sk-ant-$HOME"x"`id`#y'

# --- Helpers --------------------------------------------------------------------

pass() { printf 'ok    %s\n' "$1"; }
fail() {
  failures=$((failures + 1))
  printf 'FAIL  %s\n' "$1"
  [ -z "${2:-}" ] || printf '%s\n' "$2" | sed 's/^/      | /'
}

# expect NAME COMMAND ...: the command has to succeed.
expect() {
  local name=$1
  shift
  if "$@" >/dev/null 2>&1; then pass "$name"; else fail "$name" "$out"; fi
}
refuse() { ! "$@"; }

says() { case $out in *"$1"*) return 0 ;; esac; return 1; }
env_has() { grep -qxF -- "$1" "$tree/.env.security"; }
mode_is() { [ "$(find "$1" -perm "$2")" = "$1" ]; }
clean() { rm -f "$tree"/.env.security "$tree"/.env.security.* "$work/log"; cp .env.security.example "$tree"; }

# setup [NAME=VALUE ...] -- [argument ...]: runs it with nothing else in the
# environment; sets $out and $status.
setup() {
  local vars=()
  while [ "$1" != -- ]; do
    vars+=("$1")
    shift
  done
  shift
  status=0
  out=$(cd "$tree" && env -i PATH="$bin:$PATH" HOME="$home" FAKE_LOG="$work/log" "${vars[@]}" ./setup.sh "$@" 2>&1 </dev/null) || status=$?
  case $out in *"${token#*:}"* | *sk-ant-*) fail "a secret is in the output of setup.sh $*" ;; esac
}

# refused NAME STATUS TEXT [NAME=VALUE ...] -- [argument ...]
refused() {
  local name=$1 want=$2 text=$3
  shift 3
  setup "$@"
  if [ "$status" = "$want" ] && says "$text" && [ ! -e "$tree/.env.security" ]; then
    pass "refuses $name"
  else
    fail "refuses $name (status $status, want $want and: $text)" "$out"
  fi
}

# on_terminal [question answer ...]: runs setup.sh on a terminal of its own, and
# types each answer when its question has appeared. ^C as an answer interrupts.
# What starts it ignores signals, as nohup and shells in the background do, so
# that the test is the same everywhere.
on_terminal() {
  status=0
  out=$(trap '' HUP INT QUIT && cd "$tree" && env -i PATH="$bin:$PATH" HOME="$work" FAKE_LOG="$work/log" python3 "$work/terminal.py" "$@" 2>&1) || status=$?
}

cat >"$work/terminal.py" <<'PY'
import os, pty, select, signal, sys, time

pid, fd = pty.fork()
if pid == 0:
    # A shell cannot trap a signal that was ignored when it started.
    for name in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(name, signal.SIG_DFL)
    os.execv("./setup.sh", ["./setup.sh", "--no-build", "--no-start"])
steps = list(zip(sys.argv[1::2], sys.argv[2::2]))
seen, shown, deadline = b"", 0, time.time() + 60
while True:
    if time.time() > deadline:
        os.kill(pid, signal.SIGKILL)
        print("no end in sight; waiting for", steps[:1])
    if not select.select([fd], [], [], 1)[0]:
        continue
    try:
        data = os.read(fd, 65536)
    except OSError:
        break
    if not data:
        break
    seen += data
    if steps and steps[0][0].encode() in seen[shown:]:
        shown = len(seen)
        answer = steps.pop(0)[1]
        os.write(fd, b"\x03" if answer == "^C" else answer.encode() + b"\n")
sys.stdout.write(seen.decode().replace("\r\n", "\n"))
if steps:
    print("never asked:", steps[0][0])
    sys.exit(99)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0xFF)
PY

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# --- Docker and curl, made up -----------------------------------------------------

make_fakes() {
  mkdir -p "$bin"
  cat >"$bin/docker" <<'SH'
#!/bin/sh
echo "docker $*" >>"$FAKE_LOG"
case "$*" in
version*)
  [ -z "$FAKE_ENGINE_SAYS" ] || { echo "$FAKE_ENGINE_SAYS" >&2; exit 1; }
  echo "${FAKE_ENGINE:-20.10.24}"
  ;;
"compose version"*) [ "$FAKE_COMPOSE" != none ] || exit 1; echo "${FAKE_COMPOSE:-v2.24.0}" ;;
"compose config --services") echo security-nats ;;
*KernelVersion*) echo "${FAKE_KERNEL:-6.1.0}|[name=seccomp${FAKE_SECURITY}]" ;;
*DockerRootDir*) echo / ;;
"ps -a --filter name=security-"*) printf "$FAKE_CONTAINERS" ;;
# Ports that are in use on this machine are taken for the stack's own.
"ps --filter publish="*) printf "${FAKE_HOLDER:-security-nats\topenclaw-security\n}" ;;
"network ls --format"*) echo "$FAKE_NETWORK" ;;
"inspect --type container"*) case "$*" in *" $FAKE_GATEWAY") printf 'bridge\n%s\n' "$FAKE_NETWORK" ;; *) exit 1 ;; esac ;;
*IPAM*) case "$*" in *" $FAKE_NETWORK") echo 172.20.0.0/16 ;; *" $FAKE_BROWSER") echo 172.21.0.0/16 ;; *) exit 1 ;; esac ;;
"network inspect"*) case "$*" in *" $FAKE_BROWSER") echo "bridge ba9876543210 " ;; *" $FAKE_NETWORK") echo "bridge 0123456789ab " ;; *) echo "Error: No such network: x" >&2; exit 1 ;; esac ;;
esac
SH
  cat >"$bin/curl" <<'SH'
#!/bin/sh
echo "curl $*" >>"$FAKE_LOG"
cat >/dev/null
[ -z "$FAKE_TELEGRAM" ] && exit 6
printf '{"ok":true,"result":{"username":"lookout_bot"}}\n%s' "$FAKE_TELEGRAM"
SH
  chmod +x "$bin/docker" "$bin/curl"
}

# OpenClaw's network is where its gateway is, under any name.
test_gateway() {
  rm -f "$tree/.env.security"
  setup FAKE_GATEWAY=lobster FAKE_NETWORK=pond -- --yes --no-build --no-start --no-telegram --no-llm --gateway lobster
  expect "finds the network of the gateway" env_has "OPENCLAW_NETWORK='pond'"
  rm -f "$tree/.env.security"
  setup FAKE_GATEWAY=lobster FAKE_NETWORK=pond -- --yes --no-build --no-start --no-telegram --no-llm
  expect "does not take another network for OpenClaw's" env_has "OPENCLAW_NETWORK=''"
  rm -f "$tree/.env.security"
}

# A directory of all programs but docker, to be the whole PATH.
make_path_without_docker() {
  local dir program
  mkdir -p "$work/nodocker"
  for dir in /bin /usr/bin; do
    for program in "$dir"/*; do
      [ "${program##*/}" = docker ] || ln -sf "$program" "$work/nodocker/"
    done
  done
}

# --- Without an engine --------------------------------------------------------------

test_prerequisites() {
  local port listener
  make_path_without_docker
  refused "a machine without Docker" 1 "docker is not installed" PATH="$work/nodocker" -- --yes
  refused "an engine that it may not talk to" 1 "usermod -aG docker" FAKE_ENGINE_SAYS="permission denied while trying to connect" -- --yes
  refused "an engine that does not answer" 1 "systemctl start docker" FAKE_ENGINE_SAYS="Cannot connect to the Docker daemon" -- --yes
  refused "an old engine" 1 "20.10 is needed" FAKE_ENGINE=19.03.15 -- --yes
  refused "a Docker without compose" 1 "docker-compose-plugin" FAKE_COMPOSE=none -- --yes
  refused "an old compose" 1 "2.24 is needed" FAKE_COMPOSE=2.23.3 -- --yes
  refused "another stack's containers" 1 "docker rm -f security-suricata" FAKE_CONTAINERS='security-suricata\told\n' -- --yes
  refused "an old kernel" 1 "--without-tracee goes on" FAKE_KERNEL=4.19.0 -- --yes
  refused "an engine without root" 1 "without root" FAKE_SECURITY=,name=rootless -- --yes
  refused "a network to watch that is not there" 1 "there is no network nowhere to watch" -- --yes --watch-networks nowhere
  refused "a network that is not there" 1 "there is no network nowhere" FAKE_NETWORK=openclaw_default -- --yes --network nowhere
  port=$(free_port)
  python3 -m http.server --bind 127.0.0.1 "$port" >/dev/null 2>&1 &
  listener=$!
  cleanup="kill $listener"
  python3 -c "
import socket, sys, time
for _ in range(100):
    try: sys.exit(socket.create_connection(('127.0.0.1', $port)).close())
    except OSError: time.sleep(0.05)
sys.exit(1)"
  refused "a port in use" 1 "in use by the container box" PROXY_PORT="$port" FAKE_HOLDER='box\tother\n' -- --yes
  kill "$listener"
  cleanup=true
}

test_usage() {
  refused "an unknown option" 2 "there is no option --frob" -- --frob
  refused "an option without its value" 2 "--network needs a value" -- --yes --network
  refused "--purge without uninstall" 2 "belongs to uninstall" -- --yes --purge
  refused "to ask without a terminal" 2 "give --yes" --
  setup -- --help
  expect "shows help" [ "$status" = 0 ]
}

test_values() {
  printf '%s' "not-a-token" >"$work/token"
  refused "a wrong token" 1 "no bot token" -- --yes --telegram-token-file "$work/token"
  refused "a token's file that is not there" 1 "cannot read the file" -- --yes --telegram-token-file "$work/none"
  refused "a token without a chat" 1 "TELEGRAM_CHAT_ID is not" TELEGRAM_BOT_TOKEN="$token" -- --yes
  refused "a chat without a token" 1 "TELEGRAM_BOT_TOKEN is not" -- --yes --telegram-chat 5
  refused "a wrong chat" 1 "neither a number" TELEGRAM_BOT_TOKEN="$token" -- --yes --telegram-chat me
  refused "a value with a quote" 1 "LLM_API_KEY: has a quote" LLM_API_KEY="sk-ant-'x" -- --yes
  refused "a value with a backslash" 1 "a backslash" LLM_API_KEY="sk-ant-x\\" -- --yes
  refused "a value with a newline" 1 "control character" LLM_API_KEY=$'sk-ant-x\nEVIL=1' -- --yes
  refused "a key with spaces" 1 "a key has no spaces" LLM_API_KEY="sk-ant-a b" -- --yes
  refused "an unknown provider" 1 "none of anthropic" -- --yes --llm-provider acme
  refused "a base that is the container itself" 1 "the container itself" -- --yes --llm-base http://localhost:11434
  refused "a host that is no token" 1 "a-z 0-9" -- --yes --host Box.One
  refused "an unknown time zone" 1 "no time zone" -- --yes --timezone Mars/Olympus
  refused "a token that Telegram refuses" 1 "Telegram refuses" TELEGRAM_BOT_TOKEN="$token" TELEGRAM_CHAT_ID=5 FAKE_TELEGRAM=401 -- --yes
}

test_file() {
  local before
  setup TELEGRAM_BOT_TOKEN="$token" TELEGRAM_CHAT_ID=-100123 LLM_API_KEY="$key" FAKE_TELEGRAM=200 FAKE_NETWORK=openclaw_default -- \
    --yes --no-build --no-start --host box-1 --guard --monitoring
  expect "writes the settings" [ "$status" = 0 ]
  expect "for their owner alone" mode_is "$tree/.env.security" 600
  expect "says which bot it is" says lookout_bot
  expect "guesses OpenClaw's network" env_has "OPENCLAW_NETWORK='openclaw_default'"
  expect "finds its bridge" env_has "SURICATA_INTERFACE='br-0123456789ab'"
  expect "and its subnet, by which it is found again" env_has "SURICATA_FURTHER_INTERFACES='172.20.0.0/16'"
  expect "turns on the profiles" env_has "COMPOSE_PROFILES='guard,monitoring'"
  expect "makes a password for Grafana" grep -Eqx "GRAFANA_ADMIN_PASSWORD='[A-Za-z0-9_-]{24}'" "$tree/.env.security"
  expect "passes no secret to a program" refuse grep -Eq "${token#*:}|sk-ant" "$work/log"
  # shellcheck disable=SC2016 # expanded by the inner shell
  expect "a shell reads the key as it was" [ "$(sh -c 'set -a; . "$0"; printf %s "$LLM_API_KEY"' "$tree/.env.security")" = "$key" ]
  if [ -n "$real_docker" ]; then
    out=$(cd "$tree" && "$real_docker" compose config --format json 2>&1 | python3 -c '
import json, sys
print(json.load(sys.stdin)["services"]["security-llm-proxy"]["environment"]["LLM_API_KEY"].replace("$$", "$"))') || true
    expect "so does compose" [ "$out" = "$key" ]
  fi

  before=$(cat "$tree/.env.security")
  setup FAKE_NETWORK=openclaw_default -- --yes --no-build --no-start
  expect "a second run changes nothing" [ "$before" = "$(cat "$tree/.env.security")" ]
  expect "and keeps no backup of that" refuse ls "$tree"/.env.security.bak-*

  cp "$tree/.env.security" "$work/settings"
  setup FAKE_NETWORK=openclaw_default -- --yes --no-build --no-start --secret-files
  expect "moves secrets into files" [ "$(cat "$tree/.secrets/LLM_API_KEY")" = "$key" ]
  expect "in a directory that is closed" mode_is "$tree/.secrets" 700
  expect "where a container's user may read them" mode_is "$tree/.secrets/TELEGRAM_BOT_TOKEN" 644
  expect "and names those" env_has "TELEGRAM_BOT_TOKEN_FILE='$tree/.secrets/TELEGRAM_BOT_TOKEN'"
  expect "and keeps none itself" refuse grep -Eq "${token#*:}|sk-ant" "$tree/.env.security"
  if [ -n "$real_docker" ]; then
    out=$(cd "$tree" && "$real_docker" compose config 2>&1) || true
    expect "so that no container's settings hold one" refuse grep -Eq "${token#*:}|sk-ant" <<<"$out"
  fi
  cp "$tree/.env.security" "$work/moved"
  setup FAKE_NETWORK=openclaw_default LLM_API_KEY="$key" -- --yes --no-build --no-start --secret-files
  expect "another run finds them there" cmp "$work/moved" "$tree/.env.security"
  rm -rf "$tree/.secrets"
  mv "$work/settings" "$tree/.env.security"

  setup FAKE_NETWORK=openclaw_default PROXY_PORT="$(free_port)" -- --yes --no-build --no-start --host other
  expect "does not replace a setting unasked" env_has "OPENCLAW_HOST='box-1'"
  expect "and says so" says "OPENCLAW_HOST stays as it is"
  expect "adds one that is missing" grep -q '^PROXY_PORT=' "$tree/.env.security"
  expect "keeps a backup, for its owner alone" mode_is "$(ls "$tree"/.env.security.bak-*)" 600
  expect "changes nothing else" [ "$before" = "$(sed '/^$/N;/PROXY_PORT/d' "$tree/.env.security" | sed -e :a -e '/^\n*$/{$d;N;ba' -e '}')" ]

  setup FAKE_NETWORK=openclaw_default FAKE_BROWSER=openclaw-sandbox-browser -- --yes --no-build --no-start
  expect "watches the sandbox browser's network once it is there" env_has "SURICATA_FURTHER_INTERFACES='172.20.0.0/16,172.21.0.0/16'"
  setup FAKE_NETWORK=openclaw_default -- --yes --no-build --no-start
  expect "and goes on, should it be away" env_has "SURICATA_FURTHER_INTERFACES='172.20.0.0/16,172.21.0.0/16'"
  sed -i "s/^SURICATA_INTERFACE=.*/SURICATA_INTERFACE='br-ffffffffffff'/" "$tree/.env.security"
  setup FAKE_NETWORK=openclaw_default -- --yes --no-build --no-start
  expect "follows the network that Docker has made anew" env_has "SURICATA_INTERFACE='br-0123456789ab'"
  sed -i "s/^SURICATA_INTERFACE=.*/SURICATA_INTERFACE='br-mine'/" "$tree/.env.security"
  setup FAKE_NETWORK=openclaw_default -- --yes --no-build --no-start
  expect "and leaves a bridge that somebody has named" env_has "SURICATA_INTERFACE='br-mine'"
  printf 'LLM_API_KEY="in double quotes" \n' >>"$tree/.env.security"
  setup FAKE_NETWORK=openclaw_default LLM_API_KEY="$key" -- --yes --no-build --no-start
  expect "counts the last of two lines, and shows no secret of it" says "LLM_API_KEY stays as it is in .env.security, which has another value"

  clean
  printf 'OPENCLAW_HOST=mine # by hand\n' >"$tree/.env.security"
  chmod 644 "$tree/.env.security"
  setup -- --yes --no-build --no-start
  expect "closes a file that others could read" mode_is "$tree/.env.security" 600
  expect "adds no defaults to a file made by hand" [ "$(cat "$tree/.env.security")" = "OPENCLAW_HOST=mine # by hand" ]
  clean
}

test_terminal() {
  on_terminal "Docker network" "" "Name of this machine" "Box 1" "Name of this machine" box1 "Time zone" UTC \
    "Token of the Telegram bot" "$token" "Id of the chat" 42 "LLM provider" openai "API key" "$key" "URL of the API" "" "Have a guard" y
  expect "asks on a terminal" [ "$status" = 0 ]
  expect "asks again after a wrong answer" says "OPENCLAW_HOST: not 1 to 63"
  expect "takes the answers" env_has "LLM_API_PROVIDER='openai'"
  expect "takes secrets" env_has "TELEGRAM_BOT_TOKEN='$token'"
  expect "shows no secret that is typed" refuse says "${token#*:}"
  expect "nor the key" refuse says "$key"
  on_terminal
  expect "asks nothing the second time" [ "$status" = 0 ]

  sed -i '/^TELEGRAM/d' "$tree/.env.security"
  on_terminal "Token of the Telegram bot" "" "Write TELEGRAM_BOT_TOKEN TELEGRAM_CHAT_ID" y
  expect "asks for what is missing, and before it changes a file" env_has "TELEGRAM_BOT_TOKEN=''"
  clean
  on_terminal "Docker network" "" "Name of this machine" "" "Time zone" "" "Token of the Telegram bot" "^C"
  expect "can be interrupted" [ "$status" = 130 ]
  expect "says where it was" says "Interrupted at: Settings"
  expect "and has written nothing" [ ! -e "$tree/.env.security" ]
  clean
}

# --- On an engine ---------------------------------------------------------------------

ours() { docker "$1" ls -q "${@:2}" --filter label=com.docker.compose.project=openclaw-security; }

# Images of another state of the source would go with --purge; they get another
# name meanwhile.
put_images_aside() {
  local image
  for image in $(docker image ls --filter label=com.docker.compose.project=openclaw-security --filter 'reference=openclaw-security/*' --format '{{.Repository}}:{{.Tag}}'); do
    case $image in *:"<none>") continue ;; esac
    docker tag "$image" "setup-test-aside/${image#*/}"
  done
}
put_images_back() {
  local image
  for image in $(docker image ls --filter 'reference=setup-test-aside/*' --format '{{.Repository}}:{{.Tag}}'); do
    docker tag "$image" "openclaw-security/${image#*/}"
    docker image rm "$image" >/dev/null
  done
}

end_engine_test() {
  (cd "$tree" && ./setup.sh uninstall --purge --yes) >/dev/null 2>&1 || true
  docker rm -f setup-test-foreign >/dev/null 2>&1 || true
  docker network rm setup-test-foreign >/dev/null 2>&1 || true
  put_images_back
}

test_engine() {
  local before network vars
  if [ -z "$real_docker" ] || ! docker version >/dev/null 2>&1; then
    echo "skip  the whole stack: no Docker engine with compose answers"
    return
  fi
  if [ -n "$(docker ps -aq --filter 'name=^/?security-')$(ours volume)$(ours network)" ]; then
    echo "skip  the whole stack: containers, volumes or networks of it are there already"
    return
  fi
  cleanup=end_engine_test
  home=$HOME # docker looks for its plugins there
  put_images_aside
  # The token is nobody's, and its server is not there.
  vars=(TELEGRAM_BOT_TOKEN="$token" TELEGRAM_CHAT_ID=42 TELEGRAM_API=http://127.0.0.1:9 LLM_API_KEY="$key" SECURITY_VERSION=setup-test
    PROXY_PORT="$(free_port)" NATS_PORT="$(free_port)")

  mkdir -p "$work/claw"
  printf '{\n  // mine\n  "env": { "vars": { "XAI_API_KEY": "z" } }\n}\n' >"$work/claw/openclaw.json"
  cp "$work/claw/openclaw.json" "$work/openclaw.json.before"

  setup "${vars[@]}" -- --yes --network none --without-tracee --without-suricata --openclaw-config "$work/claw/openclaw.json"
  expect "sets the stack up" [ "$status" = 0 ]
  [ -f "$tree/.env.security" ] || return 0
  expect "waits until all is healthy" says "all containers are healthy"
  expect "runs the doctor" says "the doctor"
  expect "says that no test message was delivered, and goes on" says "no test message was delivered"
  expect "says what to do next" says "Look at it:"
  expect "has OpenClaw ask its models through the proxy" grep -q '"baseUrl": "http://127.0.0.1:' "$work/claw/openclaw.json"
  expect "and keeps what a person wrote there" grep -q '// mine' "$work/claw/openclaw.json"
  expect "keeps the former settings for their owner alone" mode_is "$tree/.openclaw-undo" 700
  expect "says which keys OpenClaw still has" says "env.vars.XAI_API_KEY"
  before=$(cat "$tree/.env.security")

  cp "$work/claw/openclaw.json" "$work/openclaw.json.written"
  setup "${vars[@]}" -- --yes --no-build --openclaw-config "$work/claw/openclaw.json"
  expect "a second run is as good" [ "$status" = 0 ]
  expect "and changes nothing of OpenClaw's" cmp "$work/claw/openclaw.json" "$work/openclaw.json.written"
  expect "and changes no setting" [ "$before" = "$(cat "$tree/.env.security")" ]
  expect "and knows its own ports" says "is this stack's"
  printf "LOG_LEVEL='loud'\n" >>"$tree/.env.security"
  setup SETUP_WAIT=10 -- --yes --no-build
  expect "says with its status that not everything is healthy" [ "$status" = 3 ]
  expect "and why" says '"loud" is not one of'
  sed -i '/^LOG_LEVEL/d' "$tree/.env.security"

  docker network create setup-test-foreign >/dev/null
  docker run -d --name setup-test-foreign --network setup-test-foreign --entrypoint sleep "${SURICATA_IMAGE:-jasonish/suricata:8.0}" 600 >/dev/null
  docker network connect openclaw-security_openclaw setup-test-foreign
  (cd "$tree" && docker compose run -d secbus tail) >/dev/null 2>&1
  setup -- uninstall --yes
  expect "uninstalls" [ "$status" = 0 ]
  expect "takes OpenClaw's configuration back" cmp "$work/claw/openclaw.json" "$work/openclaw.json.before"
  expect "and keeps no copy of its keys" [ ! -e "$tree/.openclaw-undo" ]
  expect "without a container or a network left" [ -z "$(ours container --all)$(ours network)" ]
  expect "disconnects who was on its network, and says so" says "the container setup-test-foreign was"
  expect "keeps the record" [ -n "$(ours volume)" ]
  expect "and the settings" [ "$before" = "$(cat "$tree/.env.security")" ]

  setup -- uninstall --purge --yes
  expect "purges" [ "$status" = 0 ]
  network=$(docker volume ls -q | grep '^openclaw-security_' || true)
  expect "without a volume left" [ -z "$network" ]
  expect "without settings left" [ ! -e "$tree/.env.security" ]
  expect "without an image left" [ -z "$(docker image ls -q 'openclaw-security/*:setup-test')" ]
  expect "leaves foreign containers alone" [ "$(docker inspect -f '{{.State.Status}}' setup-test-foreign)" = running ]
  expect "leaves foreign networks alone" docker network inspect setup-test-foreign
}

# --- All --------------------------------------------------------------------------

mkdir -p "$tree"
git ls-files -co --exclude-standard -z | while IFS= read -r -d '' file; do
  [ ! -e "$file" ] || printf '%s\0' "$file"
done | tar --null -T - -cf - | tar -C "$tree" -xf -
clean
make_fakes
test_usage
test_prerequisites
test_values
test_gateway
test_file
test_terminal
rm -f "$bin/docker" "$bin/curl"
test_engine
[ "$failures" = 0 ] || {
  printf '%s failed\n' "$failures"
  exit 1
}
