# shellcheck shell=bash
# Asks the owner for settings, or finds them out. Part of setup.sh.

# Whether a setting that nobody has decided may be given its default: in a file
# that is there, only what was asked for is added.
may_default() { ! decided "$1" && { interactive || [ ! -f "$env_file" ]; }; }

gateway() { value_of OPENCLAW_GATEWAY | grep . || echo "$default_gateway"; }

# The network that OpenClaw is in, as far as that can be seen. On Docker's own
# networks containers do not find each other by name.
guess_network() {
  docker inspect --type container --format '{{range $name, $_ := .NetworkSettings.Networks}}{{println $name}}{{end}}' "$(gateway)" 2>/dev/null |
    grep -vxE "|bridge|host|none|$own_network" | head -n 1 | grep . ||
    docker network ls --format '{{.Name}}' | grep -x openclaw_default || true
}

choose_network() {
  local network bridge
  if may_default OPENCLAW_NETWORK; then
    network=$(guess_network)
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
  # A name of this form is Docker's, and it changed because the network was
  # created again: nobody has chosen the old one.
  if [[ $(value_of SURICATA_INTERFACE) =~ ^br-[0-9a-f]{12}$ ]]; then
    want SURICATA_INTERFACE "$bridge"
  else
    replace_setting SURICATA_INTERFACE "$bridge"
  fi
  ok "OpenClaw's network is $network, its bridge $bridge"
}

# Has Suricata watch the networks on which the agent's content comes in, by their
# subnets: a bridge has another name when its network was made anew. What is there
# stays; a subnet that no network has any more costs nothing.
watch_networks() {
  local network found all
  [ "$(value_of SURICATA_REPLICAS)" != 0 ] || return 0
  may_default SURICATA_FURTHER_INTERFACES || in_file SURICATA_FURTHER_INTERFACES || has "$wanted" SURICATA_NETWORKS || return 0
  all=$(value_of SURICATA_FURTHER_INTERFACES)
  for network in $(value_of OPENCLAW_NETWORK) $(value_of SURICATA_NETWORKS | tr , ' ') openclaw-sandbox-browser; do
    found=$(sh suricata/bridge.sh --subnet "$network" 2>/dev/null) || found=
    if [ -n "$found" ]; then
      has "${all//,/ }" "$found" || all="${all:+$all,}$found"
      [ "$network" = "$(value_of OPENCLAW_NETWORK)" ] || ok "Suricata also watches the network $network"
    elif has "$(value_of SURICATA_NETWORKS | tr , ' ')" "$network"; then
      die "there is no network $network to watch" "docker network ls shows all."
    fi
  done
  [ "$all" = "$(value_of SURICATA_FURTHER_INTERFACES)" ] || want SURICATA_FURTHER_INTERFACES "$all"
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
  *) note "the bot's token is not checked: Telegram is not reachable from here" ;;
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
    warn "no LLM key: the proxy answers each request with 401. LLM_API_KEY in $env_file sets it"
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
