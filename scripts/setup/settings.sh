# shellcheck shell=bash
# The settings: where they come from, what is wrong with one, and how they are
# written. Part of setup.sh.

# told_KEY is what the flags or the environment say, want_KEY what is to be
# written. A secret is never an argument of another program.

told=
wanted=

has() { case " $1 " in *" $2 "*) return 0 ;; esac; return 1; }
tell() { printf -v "told_$1" %s "$2"; has "$told" "$1" || told="$told $1"; }
want() { printf -v "want_$1" %s "$2"; has "$wanted" "$1" || wanted="$wanted $1"; }
is_secret() { has "TELEGRAM_BOT_TOKEN LLM_API_KEY GRAFANA_ADMIN_PASSWORD" "$1"; }

# Secrets that compose can mount as files: docker inspect shows what is in the
# environment of a container.
mountable="LLM_API_KEY LLM_ANTHROPIC_API_KEY LLM_GEMINI_API_KEY LLM_OPENAI_API_KEY LLM_UPSTREAM_KEYS PROXY_CANARIES PROXY_CLIENT_TOKENS
  NOTIFIER_HEARTBEAT_URL TELEGRAM_BOT_TOKEN WEBHOOK_SECRET WEBHOOK_URL"

has_line() { [ -f "$env_file" ] && grep -Eq "^[[:space:]]*(export[[:space:]]+)?$1=" "$env_file"; }
in_file() { has_line "$1" || has_line "$1_FILE"; }

# The value of KEY in the file, of which the last line with it counts, or in the
# file that KEY_FILE names.
file_value() {
  local value
  if ! has_line "$1" && has_line "$1_FILE"; then
    cat -- "$(file_value "$1_FILE")" 2>/dev/null || true
    return
  fi
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
  SURICATA_NETWORKS) pattern='[A-Za-z0-9][A-Za-z0-9_.-]*(,[A-Za-z0-9][A-Za-z0-9_.-]*)*' text="no names of networks, separated by commas" ;;
  SURICATA_FURTHER_INTERFACES) pattern='[A-Za-z0-9_.*/:-]+(,[A-Za-z0-9_.*/:-]+)*' text="no interfaces or subnets, separated by commas" ;;
  OPENCLAW_GATEWAY | OPENCLAW_NETWORK | SURICATA_INTERFACE) pattern='[A-Za-z0-9][A-Za-z0-9_.-]*' text="no name" ;;
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

# Reads settings from the environment and unsets them there: otherwise they
# would override .env.security in this run, but not in the next.
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
  OPENCLAW_GATEWAY) echo "The container of OpenClaw's gateway, $default_gateway unless it was named otherwise." ;;
  OPENCLAW_NETWORK) echo "The Docker network of OpenClaw's containers; empty for one of the stack's own, $own_network." ;;
  SURICATA_INTERFACE) echo "The bridge of that network, which Suricata watches: suricata/bridge.sh prints it." ;;
  SURICATA_FURTHER_INTERFACES) echo "Networks that Suricata watches as well, by their subnets: OpenClaw's, should Docker make it anew, its sandbox browser's, and those of SURICATA_NETWORKS." ;;
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
    if [[ $line =~ ^[[:space:]]*(export[[:space:]]+)?([A-Z_]+)= ]] && has "$wanted" "${BASH_REMATCH[2]%_FILE}"; then
      key=${BASH_REMATCH[2]%_FILE}
      name=want_$key
      line="$key='${!name}'"
    fi
    printf '%s\n' "$line"
  done <"$env_file"
}

check_file() {
  if [ -L "$env_file" ] || { [ -e "$env_file" ] && [ ! -f "$env_file" ]; }; then
    die "$env_file is not a regular file" "Move it away, or put the settings themselves there."
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

# Moves the secrets of the file into files of their own, which the file then names.
# A container's user has to read them, so it is the directory that is closed.
move_secrets() {
  local dir=$PWD/.secrets key line moved=
  mkdir -p -m 700 "$dir"
  for key in $mountable; do
    has_line "$key" && [ -n "$(file_value "$key")" ] || continue
    rm -f -- "$dir/$key"
    (umask 022 && file_value "$key" >"$dir/$key")
    moved="$moved $key"
  done
  [ -n "$moved" ] || return 0
  scratch=$(mktemp ".env.security.new.XXXXXX")
  {
    while IFS= read -r line || [ -n "$line" ]; do
      if [[ $line =~ ^[[:space:]]*(export[[:space:]]+)?([A-Z_]+)= ]] && has "$moved" "${BASH_REMATCH[2]%_FILE}"; then continue; fi
      printf '%s\n' "$line"
    done <"$env_file"
    for key in $moved; do printf "%s_FILE='%s'\n" "$key" "$dir/$key"; done
  } >"$scratch"
  mv -- "$scratch" "$env_file"
  scratch=
  ok "secrets are in $dir, and $env_file names their files"
  [ -z "$(find . -maxdepth 1 -name "$env_file.bak-*" -print -quit)" ] || note "older copies of $env_file may hold them still: $env_file.bak-*"
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
