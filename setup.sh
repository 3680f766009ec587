#!/usr/bin/env bash
# Sets the whole stack up on this machine, or removes it: checks what it needs,
# asks for what it cannot know, writes .env.security, builds the images, starts
# everything, and checks that alerts can arrive. `./setup.sh --help` lists the
# options. Running it again is safe: what is there is kept, what is missing made.
set -euo pipefail
umask 077
cd "$(dirname "${BASH_SOURCE[0]}")"

readonly project=openclaw-security
readonly env_file=.env.security
readonly own_network=${project}_openclaw

# The settings that this script knows. Each may come from a flag, from the
# environment or from .env.security, where compose finds it.
readonly settings="OPENCLAW_HOST OPENCLAW_NETWORK SURICATA_INTERFACE SURICATA_REPLICAS TRACEE_REPLICAS
  TELEGRAM_BOT_TOKEN TELEGRAM_CHAT_ID TELEGRAM_API NOTIFIER_TIMEZONE
  LLM_API_PROVIDER LLM_API_KEY LLM_API_BASE GUARD_ENABLED GUARD_URL
  NATS_PORT PROXY_PORT GRAFANA_PORT SURICATA_IMAGE TRACEE_IMAGE COMPOSE_PROFILES GRAFANA_ADMIN_PASSWORD
  SECURITY_VERSION"

usage() {
  cat <<'HELP'
usage: ./setup.sh [option ...]
       ./setup.sh uninstall [--purge] [--yes]

On a terminal it asks for what it was not told. An option wins over the
environment; .env.security wins over both, unless you agree to a change.

  --yes                      ask nothing: take the defaults
  --network NAME             Docker network of OpenClaw's containers, by default openclaw_default
                             if there is one; none: a network of the stack's own
  --host NAME                name of this machine on the bus [a-z0-9_-]
  --timezone ZONE            time zone of the messages, such as Europe/Berlin
  --telegram-token-file FILE file that holds the bot's token
  --telegram-chat ID         chat that gets the alerts
  --no-telegram              print alerts instead
  --llm-provider NAME        anthropic, openai or gemini
  --llm-key-file FILE        file that holds the provider's key
  --llm-base URL             where the provider's API is, if not at its vendor's
  --no-llm                   no key for now
  --guard                    run the shipped guard, which judges prompts and tool calls
  --monitoring               run Prometheus and Grafana
  --without-tracee           leave Tracee out
  --without-suricata         leave Suricata out
  --no-build                 use the images that are there
  --no-start                 prepare everything, start nothing
  --help                     show this

uninstall removes containers and networks, and keeps the record and
.env.security; --purge removes those too, and the images that were built.

Settings are also read from the environment by their names: TELEGRAM_BOT_TOKEN,
TELEGRAM_CHAT_ID, LLM_API_KEY, PROXY_PORT, NATS_PORT, SURICATA_IMAGE, ...
SETUP_WAIT is how many seconds it waits until all is healthy, by default 120.

Exit status: 0 done, 1 could not go on, 2 wrong usage, 3 started, but not
everything is healthy.
HELP
}

# --- Telling ------------------------------------------------------------------

doing="starting"
explained=
scratch=

step() {
  doing=$1
  printf '\n%s\n' "== $1"
}
ok() { printf '  ok    %s\n' "$*"; }
note() { printf '  note  %s\n' "$*"; }
warn() { printf '  WARN  %s\n' "$*"; }

# die WHAT [REMEDY ...]: each remedy is a line.
die() {
  explained=yes
  {
    printf '  FAIL  %s\n' "$1"
    shift
    [ $# -eq 0 ] || printf '        %s\n' "$@"
  } >&2
  exit 1
}

wrong_usage() {
  explained=yes
  printf 'setup.sh: %s\nTry ./setup.sh --help.\n' "$1" >&2
  exit 2
}

on_exit() {
  local status=$?
  show_typing
  [ -z "$scratch" ] || rm -f -- "$scratch"
  [ "$status" -eq 0 ] || [ -n "$explained" ] ||
    printf '\nStopped (status %d) at: %s. Run it again when that is solved: it goes on from there.\n' "$status" "$doing" >&2
}
on_signal() {
  explained=yes
  printf '\nInterrupted at: %s. Nothing is half written; run it again to go on.\n' "$doing" >&2
  exit 130
}
trap on_exit EXIT
trap on_signal INT TERM

# What a program said, without what could steer a terminal.
plain() { LC_ALL=C tr -d '\000-\010\013-\037\177'; }
indent() { sed 's/^/        /'; }

# --- Asking -------------------------------------------------------------------

yes=
hidden=
interactive() { [ -z "$yes" ] && [ -t 0 ]; }

# ask PROMPT [DEFAULT]: sets $answer.
ask() {
  printf '  %s%s: ' "$1" "${2:+ [$2]}"
  IFS= read -r answer || die "the input ended in the middle of the questions"
  [ -n "$answer" ] || answer=${2:-}
}

# ask_secret PROMPT: sets $answer. What is typed is not shown, from before the
# prompt on: `read -s` would show what comes in between.
ask_secret() {
  hidden=yes
  stty -echo
  printf '  %s: ' "$1"
  IFS= read -r answer || die "the input ended in the middle of the questions"
  show_typing
  printf '\n'
}
show_typing() {
  [ -z "$hidden" ] || stty echo
  hidden=
}

# confirm PROMPT DEFAULT: whether the answer is y. DEFAULT is y or n.
confirm() {
  local hint=y/N
  [ "$2" = n ] || hint=Y/n
  while true; do
    printf '  %s [%s]: ' "$1" "$hint"
    IFS= read -r answer || die "the input ended in the middle of the questions"
    case ${answer:-$2} in
    [Yy] | [Yy]es) return 0 ;;
    [Nn] | [Nn]o) return 1 ;;
    esac
  done
}

# ask_valid KEY PROMPT [DEFAULT]: asks until the answer is a valid value.
ask_valid() {
  local fault ask=ask
  ! is_secret "$1" || ask=ask_secret
  while true; do
    "$ask" "$2" "${3:-}"
    fault=$(fault_of "$1" "$answer")
    [ -n "$fault" ] || break
    warn "$fault"
  done
}

# --- Settings -----------------------------------------------------------------
# told_KEY is what the flags or the environment say, want_KEY what is to be
# written. A secret is never an argument of another program.

told=
wanted=

has() { case " $1 " in *" $2 "*) return 0 ;; esac; return 1; }
tell() { printf -v "told_$1" %s "$2"; has "$told" "$1" || told="$told $1"; }
want() { printf -v "want_$1" %s "$2"; has "$wanted" "$1" || wanted="$wanted $1"; }
is_secret() { has "TELEGRAM_BOT_TOKEN LLM_API_KEY GRAFANA_ADMIN_PASSWORD" "$1"; }

in_file() { [ -f "$env_file" ] && grep -Eq "^[[:space:]]*(export[[:space:]]+)?$1=" "$env_file"; }

# The value of KEY in the file, of which the last line with it counts.
file_value() {
  local value
  value=$(grep -E "^[[:space:]]*(export[[:space:]]+)?$1=" "$env_file" | tail -n 1 | tr -d '\r')
  value=${value#*=}
  case $value in
  \'*) value=${value#\'} value=${value%%\'*} ;;
  \"*) value=${value#\"} value=${value%%\"*} ;;
  *) value=${value%%[[:space:]]*} ;;
  esac
  printf %s "$value"
}

decided() { has "$wanted" "$1" || in_file "$1"; }

# What KEY will be once the settings are written; empty if it is not set.
value_of() {
  local name=want_$1
  if has "$wanted" "$1"; then
    printf %s "${!name}"
  elif in_file "$1"; then
    file_value "$1"
  fi
}

# fault_of KEY VALUE: prints what is wrong with the value, and never the value.
fault_of() {
  local pattern=".*" text=""
  case $1 in
  TELEGRAM_BOT_TOKEN) pattern='[0-9]{6,12}:[A-Za-z0-9_-]{30,}' text="no bot token: @BotFather gives one, a number, a colon and 35 characters" ;;
  TELEGRAM_CHAT_ID)
    pattern='(-?[0-9]{1,19}|@[A-Za-z0-9_]+)(:[1-9][0-9]*)?'
    pattern="$pattern(,$pattern)*" text="neither a number such as -1001234567890 nor an @name; several are separated by commas"
    ;;
  OPENCLAW_HOST) pattern='[a-z0-9_-]{1,63}' text="not 1 to 63 of the characters a-z 0-9 _ -" ;;
  OPENCLAW_NETWORK | SURICATA_INTERFACE) pattern='[A-Za-z0-9][A-Za-z0-9_.-]*' text="no name" ;;
  LLM_API_PROVIDER) pattern='anthropic|openai|gemini' text="none of anthropic, openai, gemini" ;;
  LLM_API_KEY) pattern='[^[:space:]]+' text="a key has no spaces" ;;
  LLM_API_BASE | TELEGRAM_API | GUARD_URL) pattern='https?://[^[:space:]"]+' text="no URL that begins with http:// or https://" ;;
  NOTIFIER_TIMEZONE) pattern='[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*' text="no time zone such as Europe/Berlin" ;;
  NATS_PORT | PROXY_PORT | GRAFANA_PORT) pattern='[1-9][0-9]{0,4}' text="no port" ;;
  SURICATA_REPLICAS | TRACEE_REPLICAS) pattern='[01]' text="neither 0 nor 1" ;;
  GUARD_ENABLED) pattern='true|false' text="neither true nor false" ;;
  SECURITY_VERSION) pattern='[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}' text="no tag of an image" ;;
  esac
  [ -n "$2" ] || return 0
  # Compose takes a backslash before the closing quote for an escape; a shell
  # does not.
  if [[ $2 == *[[:cntrl:]\'\\]* ]]; then
    echo "$1: has a quote ('), a backslash or a control character, which compose and a shell read differently in $env_file"
  elif [[ ! $2 =~ ^($pattern)$ ]]; then
    echo "$1: $text"
  elif [ "$1" = NOTIFIER_TIMEZONE ] && [ -d /usr/share/zoneinfo ] && [ ! -f "/usr/share/zoneinfo/$2" ]; then
    echo "$1: $text"
  elif [[ $1 = LLM_API_BASE && $2 =~ ^https?://(localhost|127\.|\[::1\]) ]]; then
    echo "$1: in a container, $2 is the container itself; name an address of this machine that containers reach, such as 172.17.0.1"
  fi
}

# read_secret KEY FILE: takes the value from a file that holds only it.
read_secret() {
  local value
  if [ ! -f "$2" ] || [ ! -r "$2" ]; then
    die "$1: cannot read the file $2"
  fi
  value=$(head -c 65536 -- "$2")
  [ -n "$value" ] || die "$1: the file $2 is empty"
  tell "$1" "$value"
}

# Takes what the environment says, and takes it out of there: otherwise it
# would win over .env.security in this run, and not in the next.
read_environment() {
  local key
  for key in $settings; do
    [ -z "${!key:-}" ] || tell "$key" "${!key}"
    unset "$key"
  done
  [ -z "${TELEGRAM_BOT_TOKEN_FILE:-}" ] || read_secret TELEGRAM_BOT_TOKEN "$TELEGRAM_BOT_TOKEN_FILE"
  [ -z "${LLM_API_KEY_FILE:-}" ] || read_secret LLM_API_KEY "$LLM_API_KEY_FILE"
  unset COMPOSE_FILE COMPOSE_PROJECT_NAME COMPOSE_ENV_FILES
}

# Decides which of the told settings will be written: those that the file does
# not have, and those that the user lets be replaced.
adopt_told() {
  local key name fault
  for key in $told; do
    name=told_$key
    fault=$(fault_of "$key" "${!name}")
    [ -z "$fault" ] || die "$fault"
    replace_setting "$key" "${!name}"
  done
}

# replace_setting KEY VALUE: wants it, unless the file says otherwise and that
# is to stay.
replace_setting() {
  local shown="another value"
  if in_file "$1"; then
    [ "$(file_value "$1")" != "$2" ] || return 0
    is_secret "$1" || shown="'$(file_value "$1")', not '$2'"
    if ! interactive || ! confirm "$env_file has $1 as $shown. Replace it?" n; then
      warn "$1 stays as it is in $env_file, which has $shown; edit the file to change it"
      return 0
    fi
  fi
  want "$1" "$2"
}

comment_of() {
  case $1 in
  OPENCLAW_HOST) echo "The name of this machine on the bus. Another name begins another record." ;;
  OPENCLAW_NETWORK) echo "The Docker network of OpenClaw's containers; empty for one of the stack's own, $own_network." ;;
  SURICATA_INTERFACE) echo "The bridge of that network, which Suricata watches: suricata/bridge.sh prints it." ;;
  SURICATA_REPLICAS | TRACEE_REPLICAS) echo "1 runs this sensor, 0 leaves it out." ;;
  TELEGRAM_BOT_TOKEN) echo "The bot that sends alerts, and the chat that gets them; empty for none." ;;
  NOTIFIER_TIMEZONE) echo "The time zone of the messages." ;;
  LLM_API_PROVIDER) echo "The provider of the model, and the key that the agent does not get." ;;
  GUARD_ENABLED) echo "Whether the proxy asks the guard about prompts and tool calls." ;;
  COMPOSE_PROFILES) echo "Optional parts: guard, monitoring." ;;
  GRAFANA_ADMIN_PASSWORD) echo "Grafana's user is admin." ;;
  SECURITY_VERSION) echo "The tag of the images that setup.sh has built last." ;;
  esac
}

print_wanted() {
  local key name comment
  for key in $settings; do
    if in_file "$key" || ! has "$wanted" "$key"; then continue; fi
    name=want_$key
    comment=$(comment_of "$key")
    [ -z "$comment" ] || printf '\n# %s\n' "$comment"
    printf "%s='%s'\n" "$key" "${!name}"
  done
}

# The file as it is, with the values that are replaced.
print_kept() {
  local line key name
  while IFS= read -r line || [ -n "$line" ]; do
    if [[ $line =~ ^[[:space:]]*(export[[:space:]]+)?([A-Z_]+)= ]] && has "$wanted" "${BASH_REMATCH[2]}"; then
      key=${BASH_REMATCH[2]}
      name=want_$key
      line="$key='${!name}'"
    fi
    printf '%s\n' "$line"
  done <"$env_file"
}

check_file() {
  if [ -L "$env_file" ] || { [ -e "$env_file" ] && [ ! -f "$env_file" ]; }; then
    die "$env_file is no regular file" "Move it away, or put the settings themselves there."
  fi
  if [ -f "$env_file" ]; then
    [ -O "$env_file" ] || die "$env_file belongs to someone else" "sudo chown $(id -un) $env_file"
    if [ -n "$(find "$env_file" -perm /077)" ]; then
      chmod 600 "$env_file"
      warn "$env_file was readable by others, and is not any more. If it held secrets, have them replaced"
    fi
  fi
  if [ ! -L .env ] && [ ! -e .env ]; then
    ln -s "$env_file" .env
  elif [ "$(readlink .env)" != "$env_file" ]; then
    die ".env is not the link to $env_file through which compose reads it" "rm .env && ln -s $env_file .env"
  fi
}

write_settings() {
  local asked backup key name
  if [ -f "$env_file" ]; then
    asked=
    for key in $wanted; do
      name=want_$key
      [ "$key" = SECURITY_VERSION ] || { in_file "$key" && [ "$(file_value "$key")" = "${!name}" ]; } || asked="$asked $key"
    done
    if [ -n "$asked" ] && interactive && ! confirm "Write$asked to $env_file? A backup is kept" y; then
      ! has "$wanted" SECURITY_VERSION || asked=" SECURITY_VERSION"
      wanted=$asked
    fi
  fi
  scratch=$(mktemp ".env.security.new.XXXXXX")
  {
    if [ -f "$env_file" ]; then
      print_kept
    else
      echo "# Settings of the OpenClaw security bus, written by setup.sh."
      echo "# docs/configuration.md and .env.security.example have all that there are. Values are"
      echo "# in single quotes, so that docker compose and a shell read them alike."
    fi
    print_wanted
  } >"$scratch"
  if [ -f "$env_file" ] && cmp -s "$scratch" "$env_file"; then
    rm -f -- "$scratch"
    ok "$env_file is unchanged"
  else
    if [ -f "$env_file" ]; then
      backup=$env_file.bak-$(date +%Y%m%d-%H%M%S)
      cp -- "$env_file" "$backup"
      note "the old $env_file is kept as $backup"
    fi
    mv -- "$scratch" "$env_file"
    ok "$env_file holds the settings, readable by you alone"
  fi
  scratch=
  # The message of compose can show parts of the file.
  compose config --quiet >/dev/null 2>&1 ||
    die "docker compose cannot read the settings" "docker compose config --quiet says why, and may show parts of $env_file."
}

# --- Prerequisites ------------------------------------------------------------

compose() { docker compose "$@"; }

# Compose shows what it does where that is a picture, and not as a hundred lines.
compose_quietly() {
  local progress=auto
  [ -t 1 ] || progress=quiet
  compose --progress "$progress" "$@"
}

# at_least VERSION MAJOR MINOR
at_least() {
  [[ $1 =~ ^v?([0-9]+)\.([0-9]+) ]] || return 1
  local major=${BASH_REMATCH[1]} minor=${BASH_REMATCH[2]}
  [ "$major" -gt "$2" ] || { [ "$major" -eq "$2" ] && [ "$minor" -ge "$3" ]; }
}

check_docker() {
  local version
  command -v docker >/dev/null || die "docker is not installed" "https://docs.docker.com/engine/install/ says how."
  version=$(docker version --format '{{.Server.Version}}' 2>&1) || case $version in
  *"ermission denied"*)
    die "you may not talk to the Docker engine" \
      "sudo usermod -aG docker $(id -un), then log in again; or run this with sudo." \
      "Who is in that group is as good as root on this machine."
    ;;
  *) die "no Docker engine answers: $(printf '%s\n' "$version" | plain | tail -n 1)" "sudo systemctl start docker" ;;
  esac
  at_least "$version" 20 10 || die "Docker engine $version is too old: 20.10 is needed" "https://docs.docker.com/engine/install/ says how to update it."
  ok "Docker engine $version"
  version=$(docker compose version --short 2>/dev/null) || die "docker has no compose command" \
    "Install the package docker-compose-plugin; the program docker-compose (version 1) does not do."
  at_least "$version" 2 24 || die "docker compose $version is too old: 2.24 is needed" "Update the package docker-compose-plugin."
  ok "docker compose $version"
}

check_disk() {
  local root free
  root=$(docker info --format '{{.DockerRootDir}}' 2>/dev/null || true)
  [ -d "$root" ] || root=.
  free=$(($(df -Pk "$root" | awk 'NR == 2 {print $4}') / 1024 / 1024))
  [ "$free" -ge 3 ] || die "only $free GiB are free where Docker keeps its data ($root): 3 are needed to begin with" "docker system df shows what takes space."
  if [ "$free" -lt 10 ]; then
    warn "$free GiB are free in $root. The record may take 7 in time; SECURITY_MAX_BYTES makes it smaller"
  else
    ok "$free GiB are free in $root"
  fi
}

# Containers of another project under our names, or this project from another
# directory, would be in the way.
check_names() {
  local names name owner
  check_directory
  names=$(sed -n 's/^ *container_name: *//p' deploy/compose/*.yaml | tr '\n' ' ')
  while IFS=$'\t' read -r name owner; do
    if [ "$owner" = "$project" ] || ! has "$names" "$name"; then continue; fi
    die "a container $name is there that is not this stack's${owner:+, but of the project $owner}" \
      "If it is a former security stack, stop that one first (docker compose down in its directory), or: docker rm -f $name"
  done < <(docker ps -a --filter name=security- --format '{{.Names}}{{"\t"}}{{.Label "com.docker.compose.project"}}')
}

check_directory() {
  local dir
  dir=$(docker ps -a --filter "label=com.docker.compose.project=$project" --format '{{.Label "com.docker.compose.project.working_dir"}}' | sort -u | head -n 1)
  [ -z "$dir" ] || [ "$dir" -ef . ] || [ ! -d "$dir" ] ||
    die "this stack runs already, from $dir" "Run setup.sh there; or remove it first: (cd $dir && ./setup.sh uninstall)"
}

# check_port KEY DEFAULT
check_port() {
  local port holder project_of
  port=$(value_of "$1")
  port=${port:-$2}
  if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
    ok "port $port on 127.0.0.1 is free"
    return
  fi
  IFS=$'\t' read -r holder project_of < <(docker ps --filter "publish=$port" --format '{{.Names}}{{"\t"}}{{.Label "com.docker.compose.project"}}' | head -n 1) || true
  if [ "${project_of:-}" = "$project" ]; then
    ok "port $port on 127.0.0.1 is this stack's"
  else
    die "port $port on 127.0.0.1 is in use${holder:+ by the container $holder}" \
      "Choose another: $1=$((port + 10000 > 65535 ? port - 1000 : port + 10000)) ./setup.sh (or in $env_file, if it is set there)."
  fi
}

# leave_out SENSOR KEY FLAG WHY: what to do about a sensor that cannot run here.
leave_out() {
  if interactive && confirm "$1 cannot run here: $4. Go on without it?" y; then
    replace_setting "$2" 0
    return
  fi
  die "$1 cannot run here: $4" "./setup.sh $3 goes on without it."
}

check_sensors() {
  local kernel security
  IFS='|' read -r kernel security < <(docker info --format '{{.KernelVersion}}|{{.SecurityOptions}}' 2>/dev/null) || true
  if [ "$(value_of TRACEE_REPLICAS)" = 0 ]; then
    warn "Tracee is left out: nobody watches the agent's system calls"
  elif [[ ${security:-} == *rootless* ]]; then
    leave_out Tracee TRACEE_REPLICAS --without-tracee "the Docker engine runs without root"
  elif ! at_least "${kernel:-0.0}" 5 4; then
    leave_out Tracee TRACEE_REPLICAS --without-tracee "it needs Linux 5.4, and the engine has ${kernel:-none}"
  elif [ "$kernel" = "$(uname -r)" ] && [ ! -e /sys/kernel/btf/vmlinux ]; then
    leave_out Tracee TRACEE_REPLICAS --without-tracee "the kernel has no type information (/sys/kernel/btf/vmlinux; CONFIG_DEBUG_INFO_BTF)"
  else
    ok "Linux $kernel can run Tracee"
  fi
  if [ "$(value_of SURICATA_REPLICAS)" = 0 ]; then
    warn "Suricata is left out: nobody watches the agent's network"
  elif [[ ${security:-} == *rootless* ]]; then
    leave_out Suricata SURICATA_REPLICAS --without-suricata "the Docker engine runs without root, and sees no bridge"
  fi
  # In their containers the sensors are root, without the right to read what
  # another user keeps for himself.
  [ "$(id -u)" = 0 ] || check_readable suricata tracee
}

# check_readable DIR ...: containers see these directories as other users.
check_readable() {
  [ -z "$(find "$@" \( ! -perm -o=r -o -type d ! -perm -o=x \) -print -quit)" ] ||
    die "the containers could not read all that is in $*" "chmod -R o+rX $*"
}

# --- Questions ----------------------------------------------------------------

# Whether a setting that nobody has decided may be given its default: in a file
# that is there, only what was asked for is added.
may_default() { ! decided "$1" && { interactive || [ ! -f "$env_file" ]; }; }

choose_network() {
  local network bridge
  if may_default OPENCLAW_NETWORK; then
    network=$(docker network ls --format '{{.Name}}' | grep -x openclaw_default || true)
    if interactive; then
      ask_valid OPENCLAW_NETWORK "Docker network of OpenClaw; none for one of the stack's own" "${network:-none}"
      network=$answer
    fi
    [ "$network" != none ] || network=
    want OPENCLAW_NETWORK "$network"
  fi
  network=$(value_of OPENCLAW_NETWORK)
  if [ -z "$network" ]; then
    ok "OpenClaw's network will be the stack's own, $own_network"
    return
  fi
  bridge=$(sh suricata/bridge.sh "$network" 2>&1) || die "$(printf %s "$bridge" | plain)" \
    "Or take a network of the stack's own: --network none (OPENCLAW_NETWORK='' in $env_file)."
  # A name of this form is Docker's, and another one since the network was made
  # anew: nobody has chosen the old one.
  if [[ $(value_of SURICATA_INTERFACE) =~ ^br-[0-9a-f]{12}$ ]]; then
    want SURICATA_INTERFACE "$bridge"
  else
    replace_setting SURICATA_INTERFACE "$bridge"
  fi
  ok "OpenClaw's network is $network, its bridge $bridge"
}

default_host() {
  local name
  name=$(uname -n | tr '[:upper:]' '[:lower:]')
  name=$(printf %s "${name%%.*}" | tr -c 'a-z0-9_-' - | cut -c 1-63)
  echo "${name:-openclaw}"
}

default_timezone() {
  local zone
  zone=$(head -n 1 /etc/timezone 2>/dev/null) || zone=$(timedatectl show --property Timezone --value 2>/dev/null) || zone=
  [ -n "$zone" ] && [ -z "$(fault_of NOTIFIER_TIMEZONE "$zone")" ] || zone=UTC
  echo "$zone"
}

# ask_default KEY PROMPT DEFAULT: the setting becomes the answer, or the default.
ask_default() {
  may_default "$1" || return 0
  answer=$3
  ! interactive || ask_valid "$1" "$2" "$3"
  want "$1" "$answer"
}

# Whether the token that is to be written is refused by Telegram. That it could
# not be asked is no refusal.
token_refused() {
  local api reply
  has "$wanted" TELEGRAM_BOT_TOKEN && [ -n "$want_TELEGRAM_BOT_TOKEN" ] || return 1
  command -v curl >/dev/null || {
    note "the bot's token is not checked: curl is not installed"
    return 1
  }
  api=$(value_of TELEGRAM_API)
  reply=$(printf 'url = "%s/bot%s/getMe"\n' "${api:-https://api.telegram.org}" "$want_TELEGRAM_BOT_TOKEN" |
    curl --silent --max-time 10 --max-filesize 65536 --write-out '\n%{http_code}' --config - 2>/dev/null) || true
  case ${reply##*$'\n'} in
  200) ok "Telegram knows the bot $(printf %s "$reply" | grep -Eo '"username" *: *"[A-Za-z0-9_]+"' | head -n 1)" ;;
  401 | 404) return 0 ;;
  *) note "the bot's token is not checked: Telegram is out of reach from here" ;;
  esac
  return 1
}

ask_telegram() {
  while true; do
    ask_default TELEGRAM_BOT_TOKEN "Token of the Telegram bot that sends alerts (Enter: none, alerts are printed)" ""
    token_refused || break
    interactive || die "Telegram refuses the bot's token" "@BotFather shows it again with /mybots."
    warn "Telegram refuses this token"
    ask_valid TELEGRAM_BOT_TOKEN "Token (Enter: none)"
    want TELEGRAM_BOT_TOKEN "$answer"
  done
  if [ -z "$(value_of TELEGRAM_BOT_TOKEN)" ]; then
    ! may_default TELEGRAM_CHAT_ID || want TELEGRAM_CHAT_ID ""
    [ -z "$(value_of TELEGRAM_CHAT_ID)" ] || die "TELEGRAM_CHAT_ID is set and TELEGRAM_BOT_TOKEN is not" "Set both, or neither."
    warn "no Telegram: alerts are printed (docker compose logs -f security-notifier)"
    return
  fi
  while interactive && [ -z "$(value_of TELEGRAM_CHAT_ID)" ]; do
    ask_valid TELEGRAM_CHAT_ID "Id of the chat that gets them (docs/notifier.md says how to find it)"
    want TELEGRAM_CHAT_ID "$answer"
  done
  [ -n "$(value_of TELEGRAM_CHAT_ID)" ] || die "the bot's token is set and TELEGRAM_CHAT_ID is not" \
    "Write to the bot; https://api.telegram.org/bot<TOKEN>/getUpdates then shows the chat's id. Give it as --telegram-chat."
  ok "alerts go to Telegram"
}

ask_llm() {
  local provider
  ask_default LLM_API_PROVIDER "LLM provider: anthropic, openai or gemini" anthropic
  provider=$(value_of LLM_API_PROVIDER)
  ask_default LLM_API_KEY "API key for ${provider:-anthropic} (Enter: none yet)" ""
  ask_default LLM_API_BASE "URL of the API (Enter: the vendor's)" ""
  if [ -n "$(value_of LLM_API_KEY)" ]; then
    ok "the proxy holds the key for ${provider:-anthropic}"
  else
    warn "no LLM key: the proxy says so to whoever asks it. LLM_API_KEY in $env_file sets it"
  fi
}

want_profile() {
  local profiles
  profiles=$(value_of COMPOSE_PROFILES)
  has "${profiles//,/ }" "$1" || replace_setting COMPOSE_PROFILES "${profiles:+$profiles,}$1"
}

ask_guard() {
  if may_default GUARD_ENABLED; then
    if interactive && confirm "Have a guard judge prompts and tool calls by rules?" n; then
      want GUARD_ENABLED true
    else
      want GUARD_ENABLED false
    fi
  fi
  if [ "$(value_of GUARD_ENABLED)" = true ]; then
    [ -n "$(value_of GUARD_URL)" ] || want_profile guard
    ok "the guard judges prompts and tool calls"
  fi
}

ask_monitoring() {
  local profiles
  [ -z "$monitoring" ] || want_profile monitoring
  profiles=$(value_of COMPOSE_PROFILES)
  has "${profiles//,/ }" monitoring || return 0
  check_port GRAFANA_PORT 3000
  check_readable deploy/compose/monitoring
  if [ -z "$(value_of GRAFANA_ADMIN_PASSWORD)" ]; then
    want GRAFANA_ADMIN_PASSWORD "$(head -c 18 /dev/urandom | base64 | tr '+/' '-_')"
    ok "Grafana gets a random password, GRAFANA_ADMIN_PASSWORD in $env_file"
  fi
}

# The images are tagged with what git calls this state of the source.
choose_version() {
  local version
  [ -z "$no_build" ] && ! has "$told" SECURITY_VERSION || return 0
  version=$(git describe --tags --always --dirty 2>/dev/null | tr -c 'A-Za-z0-9_.\n-' -) || version=
  want SECURITY_VERSION "${version:-dev}"
}

# --- Images -------------------------------------------------------------------

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

# --- Start and checks ---------------------------------------------------------

start_stack() {
  note "the first start makes the keys and the streams, and fetches Suricata's rules"
  # Without --pull never, compose fetches even the image of a sensor that is left
  # out.
  compose_quietly up --detach --no-build --pull never || {
    explain_containers bad
    die "the stack did not start" "docker compose logs shows what its parts say. An image that is missing is built without --no-build."
  }
}

# One line for each container of the stack: whether it is good, waited for or bad.
container_states() {
  local id name status health code policy state
  docker ps -aq --filter "label=com.docker.compose.project=$project" --filter label=com.docker.compose.oneoff=False | while IFS= read -r id; do
    docker inspect --format '{{.Name}} {{.State.Status}} {{with .State.Health}}{{.Status}}{{else}}none{{end}} {{.State.ExitCode}} {{.HostConfig.RestartPolicy.Name}}' "$id" 2>/dev/null || true
  done | while read -r name status health code policy; do
    state=waited
    case $policy/$status/$health in
    no/exited/*) [ "$code" = 0 ] && state=good || state=bad ;;
    no/*) ;;
    */running/healthy | */running/none) state=good ;;
    */running/starting | */created/*) ;;
    *) state=bad ;;
    esac
    echo "$state ${name#/}"
  done
}

# Waits until all containers are good, at most SETUP_WAIT seconds. A bad one may
# still become good: a service is restarted until what it needs is there.
wait_healthy() {
  local limit=${SETUP_WAIT:-120} began=$SECONDS states others said=""
  while true; do
    states=$(container_states)
    others=$(printf '%s\n' "$states" | sed -n '/^good /d; s/^[a-z]* //p' | sort | tr '\n' ' ')
    [ -n "$states" ] && [ -z "$others" ] && break
    [ "$others" = "$said" ] || printf '  ...   waiting for %s\n' "${others:-containers}"
    said=$others
    if [ $((SECONDS - began)) -ge "$limit" ]; then
      warn "not everything is healthy after $limit s"
      explain_containers waited bad
      return 1
    fi
    sleep 2
  done
  ok "all containers are healthy"
}

# explain_containers STATE ...: says of each container in one of the states what
# its last health check said, or its log.
explain_containers() {
  local state name why
  container_states | while read -r state name; do
    has "$*" "$state" || continue
    why=$(docker inspect --format '{{with .State.Health}}{{range .Log}}{{println .Output}}{{end}}{{end}}' "$name" 2>/dev/null | plain | grep -v '^ *$' | tail -n 3) ||
      why=$(docker logs --tail 3 "$name" 2>&1 | plain) || true
    printf '        %s: %s\n' "$name" "$(docker inspect --format '{{.State.Status}}' "$name" 2>/dev/null)"
    [ -z "$why" ] || printf '%s\n' "$why" | indent
  done
}

# The operator's command, in a container that reads nothing from here.
secbus() { compose --progress quiet run --rm -T secbus "$@" </dev/null; }

check_stack() {
  local status=0
  secbus doctor || status=$?
  case $status in
  0) ok "the doctor finds no fault" ;;
  3) warn "the doctor misses something: the lines above say what, and what to do" ;;
  *) warn "the doctor could not look (status $status)" ;;
  esac
}

send_test() {
  [ -n "$(value_of TELEGRAM_BOT_TOKEN)" ] || return 0
  step "Test message"
  note "this can take two minutes"
  if secbus notify test; then
    ok "the message is in the chat"
  else
    warn "no test message was delivered. The notifier goes on trying; docker compose logs security-notifier says why"
  fi
}

next_steps() {
  local port network provider profiles suffix=""
  port=$(value_of PROXY_PORT)
  network=$(value_of OPENCLAW_NETWORK)
  provider=$(value_of LLM_API_PROVIDER)
  provider=${provider:-anthropic}
  [ "$provider" != openai ] || suffix=/v1
  profiles=$(value_of COMPOSE_PROFILES)
  step "What to do next"
  if [ -z "$network" ]; then
    cat <<TEXT
  Connect OpenClaw's containers to the network on which the proxy is, and that Suricata watches:
      docker network connect $own_network openclaw-openclaw-gateway-1
TEXT
  fi
  cat <<TEXT
  Have OpenClaw use the proxy, and take the API key away from it. In ~/.openclaw/openclaw.json:
      models: { providers: { $provider: { baseUrl: "http://security-llm-proxy:8080$suffix", apiKey: "none" } } }
  (http://127.0.0.1:${port:-8080}$suffix if OpenClaw runs outside Docker; docs/proxy.md has the whole snippet.)

  Look at it:     docker compose run --rm secbus status
                  docker compose run --rm secbus tail --since 15m
                  docker compose logs -f security-notifier
  Change it:      edit $env_file, then: ./setup.sh --yes --no-build
  Remove it:      ./setup.sh uninstall
TEXT
  ! has "${profiles//,/ }" monitoring || echo "  Figures:        http://127.0.0.1:$(value_of GRAFANA_PORT | grep . || echo 3000) (user admin; the password is in $env_file)"
}

# --- Uninstall ----------------------------------------------------------------

# labelled KIND [option ...]: ids of the project's containers, networks or volumes.
labelled() { docker "$1" ls --quiet "${@:2}" --filter "label=com.docker.compose.project=$project"; }

uninstall() {
  local network name left
  check_docker
  check_directory
  if [ -z "$purge" ] && interactive; then
    ask "Delete the stored record, $env_file and the built images as well? Type yes to do so"
    [ "$answer" != yes ] || purge=yes
  fi
  step "Removing containers and networks"
  # A network that others are on cannot be removed. They lose the way to the
  # proxy in any case.
  for network in $(labelled network); do
    for name in $(docker network inspect --format '{{range .Containers}}{{println .Name}}{{end}}' "$network"); do
      [ "$(docker inspect --format '{{index .Config.Labels "com.docker.compose.project"}}' "$name")" != "$project" ] || continue
      docker network disconnect "$network" "$name"
      note "the container $name was on the stack's network; it runs on, disconnected from that"
    done
  done
  # What `docker compose run` has started, and `down` leaves.
  left=$(labelled container --all --filter label=com.docker.compose.oneoff=True)
  # shellcheck disable=SC2086 # one argument for each container
  [ -z "$left" ] || docker rm --force $left >/dev/null
  # Without a compose file in reach, compose goes by what the engine knows of the
  # project: whatever .env.security says now, all of it is found.
  if [ -n "$purge" ]; then
    (cd / && compose_quietly -p "$project" down --remove-orphans --volumes)
  else
    (cd / && compose_quietly -p "$project" down --remove-orphans)
  fi
  [ -z "$(labelled container --all)$(labelled network)" ] || die "something of the stack is still there" \
    "docker ps -a --filter label=com.docker.compose.project=$project and docker network ls show what."
  ok "no container and no network of the stack is left"
  if [ -z "$purge" ]; then
    note "kept: $env_file, and the record in these volumes:"
    labelled volume | indent
    note "./setup.sh uninstall --purge deletes them"
    return
  fi
  step "Deleting the record, the settings and the images"
  left=$(labelled volume)
  # shellcheck disable=SC2086 # one argument for each volume
  [ -z "$left" ] || docker volume rm $left >/dev/null
  ok "the record is deleted"
  rm -f -- "$env_file" "$env_file".bak-*
  ok "$env_file and its backups are deleted"
  # Compose puts its project's name on what it builds.
  left=$(docker image ls --filter "label=com.docker.compose.project=$project" --filter 'reference=openclaw-security/*' \
    --format '{{.Repository}}:{{.Tag}}' | grep -v ':<none>$' || true)
  # shellcheck disable=SC2086 # one argument for each image
  [ -z "$left" ] || docker image rm $left >/dev/null || warn "some images could not be deleted: docker image ls 'openclaw-security/*' shows them"
  ok "the built images are deleted; Suricata's and Tracee's are not this script's alone, and stay"
}

# --- The whole ----------------------------------------------------------------

monitoring=
no_build=
no_start=
purge=
command=setup

# take OPTION VALUE: an option that has a value.
take() {
  [[ $1 =~ ^--(network|host|timezone|telegram-token-file|telegram-chat|llm-provider|llm-key-file|llm-base)$ ]] ||
    wrong_usage "there is no option $1"
  [ -n "$2" ] || wrong_usage "$1 needs a value"
  case $1 in
  --network) if [ "$2" = none ]; then tell OPENCLAW_NETWORK ""; else tell OPENCLAW_NETWORK "$2"; fi ;;
  --host) tell OPENCLAW_HOST "$2" ;;
  --timezone) tell NOTIFIER_TIMEZONE "$2" ;;
  --telegram-token-file) read_secret TELEGRAM_BOT_TOKEN "$2" ;;
  --telegram-chat) tell TELEGRAM_CHAT_ID "$2" ;;
  --llm-provider) tell LLM_API_PROVIDER "$2" ;;
  --llm-key-file) read_secret LLM_API_KEY "$2" ;;
  --llm-base) tell LLM_API_BASE "$2" ;;
  esac
}

parse() {
  if [ "${1:-}" = uninstall ]; then
    command=uninstall
    shift
  fi
  while [ $# -gt 0 ]; do
    case $1 in
    --help | -h) usage && exit 0 ;;
    --yes | -y) yes=yes ;;
    --purge) purge=yes ;;
    --no-telegram) tell TELEGRAM_BOT_TOKEN "" && tell TELEGRAM_CHAT_ID "" ;;
    --no-llm) tell LLM_API_KEY "" ;;
    --guard) tell GUARD_ENABLED true ;;
    --monitoring) monitoring=yes ;;
    --without-tracee) tell TRACEE_REPLICAS 0 ;;
    --without-suricata) tell SURICATA_REPLICAS 0 ;;
    --no-build) no_build=yes ;;
    --no-start) no_start=yes ;;
    *)
      take "$1" "${2:-}"
      shift
      ;;
    esac
    shift
  done
  [ -z "$purge" ] || [ "$command" = uninstall ] || wrong_usage "--purge belongs to uninstall"
  interactive || [ -n "$yes" ] || wrong_usage "there is no terminal to ask on: give --yes"
}

setup() {
  step "Prerequisites"
  check_docker
  check_names
  check_disk
  check_file
  adopt_told
  check_port PROXY_PORT 8080
  check_port NATS_PORT 4222
  check_sensors

  step "Settings"
  [ ! -f "$env_file" ] || note "$env_file is there and is kept; only what is missing is added"
  choose_network
  ask_default OPENCLAW_HOST "Name of this machine on the bus" "$(default_host)"
  ask_default NOTIFIER_TIMEZONE "Time zone of the messages" "$(default_timezone)"
  ask_telegram
  ask_llm
  ask_guard
  ask_monitoring
  choose_version
  write_settings

  step "Images"
  [ -n "$no_build" ] || build_images
  pull_images
  if [ -n "$no_start" ]; then
    ok "prepared; docker compose up -d starts it"
    return
  fi

  step "Start"
  start_stack
  local status=0
  wait_healthy || status=3
  step "Doctor"
  check_stack
  [ "$status" != 0 ] || send_test
  next_steps
  explained=yes
  return "$status"
}

read_environment
parse "$@"
"$command"
