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
readonly default_gateway=openclaw-openclaw-gateway-1

# The settings that this script knows. Each may come from a flag, from the
# environment or from .env.security, where compose finds it.
readonly settings="OPENCLAW_HOST OPENCLAW_GATEWAY OPENCLAW_NETWORK SURICATA_INTERFACE SURICATA_NETWORKS SURICATA_FURTHER_INTERFACES SURICATA_REPLICAS TRACEE_REPLICAS
  TELEGRAM_BOT_TOKEN TELEGRAM_CHAT_ID TELEGRAM_API NOTIFIER_TIMEZONE
  LLM_API_PROVIDER LLM_API_KEY LLM_API_BASE GUARD_ENABLED GUARD_URL
  NATS_PORT PROXY_PORT GRAFANA_PORT SURICATA_IMAGE TRACEE_IMAGE COMPOSE_PROFILES GRAFANA_ADMIN_PASSWORD
  SECURITY_VERSION"

usage() {
  cat <<'HELP'
usage: ./setup.sh [option ...]
       ./setup.sh uninstall [--purge] [--yes]

On a terminal it asks for settings that are not given. An option overrides the
environment; .env.security overrides both, unless you agree to a change.

  --yes                      ask nothing: take the defaults
  --gateway NAME             container of OpenClaw's gateway, by default openclaw-openclaw-gateway-1
  --network NAME             Docker network of OpenClaw's containers, by default that of the gateway,
                             or openclaw_default if there is one; none: a network of the stack's own
  --watch-networks NAMES     further Docker networks for Suricata to watch, separated by commas
  --host NAME                name of this machine on the bus [a-z0-9_-]
  --timezone ZONE            time zone of the messages, such as Europe/Berlin
  --telegram-token-file FILE file that holds the bot's token
  --telegram-chat ID         chat that gets the alerts
  --no-telegram              print alerts instead
  --llm-provider NAME        anthropic, openai or gemini
  --llm-key-file FILE        file that holds the provider's key
  --llm-base URL             where the provider's API is, if not at its vendor's
  --no-llm                   no key for now
  --openclaw-config FILE     have OpenClaw ask its models through the proxy: OpenClaw's openclaw.json on this
                             machine, of which the former settings are kept for uninstall
  --guard                    run the shipped guard, which judges prompts and tool calls
  --monitoring               run Prometheus and Grafana
  --without-tracee           leave Tracee out
  --without-suricata         leave Suricata out
  --secret-files             keep secrets in files of their own, .secrets, which containers mount, so that
                             docker inspect does not show them
  --no-build                 use the images that are there
  --no-start                 prepare everything, start nothing
  --help                     show this

uninstall takes OpenClaw's configuration back, removes containers and networks, and
keeps the record and .env.security; --purge removes those too, and the images that were built.

Settings are also read from the environment by their names: TELEGRAM_BOT_TOKEN,
TELEGRAM_CHAT_ID, LLM_API_KEY, PROXY_PORT, NATS_PORT, SURICATA_IMAGE, ...
SETUP_WAIT is how many seconds it waits until all is healthy, by default 120.

Exit status: 0 done, 1 could not go on, 2 wrong usage, 3 started, but not
everything is healthy.
HELP
}

# shellcheck source=scripts/setup/telling.sh
. scripts/setup/telling.sh
# shellcheck source=scripts/setup/asking.sh
. scripts/setup/asking.sh
# shellcheck source=scripts/setup/settings.sh
. scripts/setup/settings.sh
# shellcheck source=scripts/setup/prerequisites.sh
. scripts/setup/prerequisites.sh
# shellcheck source=scripts/setup/questions.sh
. scripts/setup/questions.sh
# shellcheck source=scripts/setup/images.sh
. scripts/setup/images.sh
# shellcheck source=scripts/setup/start.sh
. scripts/setup/start.sh
# shellcheck source=scripts/setup/openclaw.sh
. scripts/setup/openclaw.sh
# shellcheck source=scripts/setup/uninstall.sh
. scripts/setup/uninstall.sh

monitoring=
no_build=
no_start=
secret_files=
openclaw_config=
purge=
command=setup

# take OPTION VALUE: an option that has a value.
take() {
  [[ $1 =~ ^--(gateway|network|watch-networks|host|timezone|telegram-token-file|telegram-chat|llm-provider|llm-key-file|llm-base|openclaw-config)$ ]] ||
    wrong_usage "there is no option $1"
  [ -n "$2" ] || wrong_usage "$1 needs a value"
  case $1 in
  --gateway) tell OPENCLAW_GATEWAY "$2" ;;
  --network) if [ "$2" = none ]; then tell OPENCLAW_NETWORK ""; else tell OPENCLAW_NETWORK "$2"; fi ;;
  --watch-networks) tell SURICATA_NETWORKS "$2" ;;
  --host) tell OPENCLAW_HOST "$2" ;;
  --timezone) tell NOTIFIER_TIMEZONE "$2" ;;
  --telegram-token-file) read_secret TELEGRAM_BOT_TOKEN "$2" ;;
  --telegram-chat) tell TELEGRAM_CHAT_ID "$2" ;;
  --llm-provider) tell LLM_API_PROVIDER "$2" ;;
  --llm-key-file) read_secret LLM_API_KEY "$2" ;;
  --llm-base) tell LLM_API_BASE "$2" ;;
  --openclaw-config) openclaw_config=$2 ;;
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
    --secret-files) secret_files=yes ;;
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
  watch_networks
  ask_default OPENCLAW_HOST "Name of this machine on the bus" "$(default_host)"
  ask_default NOTIFIER_TIMEZONE "Time zone of the messages" "$(default_timezone)"
  ask_telegram
  ask_llm
  ask_guard
  ask_monitoring
  choose_version
  write_settings
  [ -z "$secret_files" ] || move_secrets

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
  configure_openclaw
  next_steps
  explained=yes
  return "$status"
}

read_environment
parse "$@"
"$command"
