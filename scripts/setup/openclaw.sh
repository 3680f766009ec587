# shellcheck shell=bash
# Has OpenClaw ask its models through the proxy, takes that back, and says which keys
# OpenClaw still has. Part of setup.sh.

# Holds the former configuration, with its keys; OpenClaw's containers do not see it.
readonly undo=.openclaw-undo

# run_secbus DIR ARGUMENT ...: secbus with OpenClaw's directory and nothing else, as
# the user to whom that belongs. Its standard input is passed on.
run_secbus() {
  local dir=$1 image volumes
  shift
  volumes=(--volume "$dir:/openclaw")
  [ ! -d "$undo" ] || volumes+=(--volume "$PWD/$undo:/undo")
  image=openclaw-security/secbus:$(value_of SECURITY_VERSION | grep . || echo dev)
  docker run --rm --interactive --network none --read-only --cap-drop ALL --security-opt no-new-privileges:true \
    --user "$(stat -c %u:%g "$dir")" "${volumes[@]}" "$image" openclaw "$@"
}

# The directory of OpenClaw's state on this machine: what the gateway has mounted.
# Nothing where there is no gateway.
find_openclaw() {
  docker inspect --type container --format '{{range .Mounts}}{{if eq .Destination "/home/node/.openclaw"}}{{println .Source}}{{end}}{{end}}' "$(gateway)" 2>/dev/null | head -n 1 || true
}

# The providers that the proxy has, the default one first.
proxy_providers() {
  local first name
  first=$(value_of LLM_API_PROVIDER | grep . || echo anthropic)
  echo "$first"
  for name in ANTHROPIC OPENAI GEMINI; do
    [ -z "$(value_of "LLM_${name}_API_KEY")" ] || [ "${name,,}" = "$first" ] || echo "${name,,}"
  done
}

# The further servers of the proxy, without their URLs.
proxy_upstreams() {
  value_of LLM_UPSTREAMS | tr ',' '\n' | sed -n 's/^ *\([^= ]*\)=.*/\1/p'
}

# The arguments of configure, a line each, that say what the proxy is.
proxy_arguments() {
  local name
  printf '%s\n' --proxy "$1"
  for name in $(proxy_providers); do printf '%s\n' --provider "$name"; done
  for name in $(proxy_upstreams); do printf '%s\n' --upstream "$name"; done
}

# Where OpenClaw reaches the proxy: in Docker by its name.
proxy_url() {
  if [ -n "$(find_openclaw)" ]; then
    echo http://security-llm-proxy:8080
  else
    echo "http://127.0.0.1:$(value_of PROXY_PORT | grep . || echo 8080)"
  fi
}

# The version of OpenClaw in the gateway, which decides what settings it knows.
openclaw_version() {
  docker exec "$(gateway)" node dist/index.js --version 2>/dev/null </dev/null | grep -Eo '[0-9]{4}\.[0-9]+\.[0-9]+' | head -n 1
}

# The token of the client that is called openclaw, or of the first.
client_token() {
  local tokens token=
  tokens=$(value_of PROXY_CLIENT_TOKENS | tr ',' '\n')
  token=$(printf '%s\n' "$tokens" | sed -n 's/^ *openclaw=//p' | head -n 1)
  [ -n "$token" ] || token=$(printf '%s\n' "$tokens" | sed -n 's/^[^=]*=//p' | head -n 1)
  printf %s "$token"
}

configure_openclaw() {
  local dir version token arguments
  if [ -n "$openclaw_config" ]; then
    dir=$(cd "$(dirname "$openclaw_config")" && pwd) || die "there is no directory $(dirname "$openclaw_config")"
    [ "$(basename "$openclaw_config")" = openclaw.json ] || die "$openclaw_config is not called openclaw.json" "Put the settings there by hand: docs/openclaw.md has them."
  else
    dir=$(find_openclaw)
  fi
  [ -n "$dir" ] && [ -d "$dir" ] || return 0
  step "OpenClaw"
  if [ -z "$(value_of LLM_API_KEY)" ] || [ -n "$(value_of LLM_API_BASE)" ]; then
    note "OpenClaw is left as it is: the proxy has no key, or an address of your own, whose models only you know (docs/openclaw.md)"
    return 0
  fi
  if [ -z "$openclaw_config" ]; then
    if ! interactive || ! confirm "Have OpenClaw ask its models through the proxy (write $dir/openclaw.json)? It can be taken back" n; then
      note "OpenClaw is left as it is; --openclaw-config $dir/openclaw.json has it ask its models through the proxy"
      say_keys "$dir"
      return 0
    fi
  fi
  if [ "$(id -u)" != 0 ] && [ ! -O "$dir" ]; then
    warn "$dir belongs to someone else: run this as its owner or with sudo, or put the settings there by hand (docs/openclaw.md)"
    return 0
  fi
  mkdir -p -m 700 "$undo"
  [ "$(id -u)" != 0 ] || chown "$(stat -c %u:%g "$dir")" "$undo"
  mapfile -t arguments < <(proxy_arguments "$(proxy_url)")
  version=$(openclaw_version) || version=
  [ -z "$version" ] || arguments+=(--version "$version")
  token=$(client_token)
  [ -z "$token" ] || arguments+=(--client-token-file /dev/stdin)
  if printf %s "$token" | run_secbus "$dir" configure --file /openclaw/openclaw.json --undo /undo "${arguments[@]}" 2>&1 | plain | sed "s#/openclaw/#$dir/#g; s#/undo#$undo#g" | indent; then
    printf '%s\n' "$dir" >"$undo/directory"
    ok "OpenClaw reads it by itself; if it does not: docker restart $(gateway)"
  else
    warn "OpenClaw was left as it is; docs/openclaw.md has the settings"
  fi
  say_keys "$dir"
}

# Which keys OpenClaw still has, each of them a way past the proxy.
say_keys() {
  local found names tree count
  tree=$(docker inspect --type container --format '{{index .Config.Labels "com.docker.compose.project.working_dir"}}' "$(gateway)" 2>/dev/null) || tree=
  found=$(run_secbus "$1" keys /openclaw </dev/null 2>/dev/null | plain) || true
  if [ -r "$tree/.env" ]; then
    names=$(grep -Eo '^(export )?[A-Za-z0-9_]+(_KEY|_TOKEN|_SECRET|PASSWORD)=.' "$tree/.env" | sed 's/^export //; s/=.*//' | grep -v '^OPENCLAW_GATEWAY_TOKEN$' | tr '\n' ' ')
    [ -z "$names" ] || found="$found"$'\n'"$tree/.env: $names"
  fi
  names=$(docker inspect --type container --format '{{range .Config.Env}}{{println .}}{{end}}' "$(gateway)" 2>/dev/null | grep -Eo '^[A-Za-z0-9_]+_API_KEY=.' | sed 's/=.*//' | tr '\n' ' ') || true
  [ -z "$names" ] || found="$found"$'\n'"environment of $(gateway): $names"
  count=$(docker exec "$(gateway)" node dist/index.js secrets audit --json 2>/dev/null </dev/null | grep -Eo '"plaintextCount": *[0-9]+' | grep -Eo '[0-9]+' | head -n 1) || count=
  [ -z "$count" ] || found="$found"$'\n'"openclaw secrets audit: $count in plain text (docker exec $(gateway) node dist/index.js secrets audit)"
  found=$(printf '%s\n' "$found" | grep . || true)
  if [ -n "$found" ]; then
    warn "OpenClaw may still have keys of its own, which lead past the proxy (docs/openclaw.md):"
    printf '%s\n' "$found" | indent
  else
    ok "no key of OpenClaw's own was found"
  fi
}

# Takes back what configure_openclaw did. The image has to be there still.
restore_openclaw() {
  local dir
  [ -e "$undo/openclaw.json.changes" ] || return 0
  dir=$(cat "$undo/directory" 2>/dev/null) || dir=
  step "OpenClaw's configuration"
  if [ -n "$dir" ] && run_secbus "$dir" restore --file /openclaw/openclaw.json --undo /undo </dev/null 2>&1 | plain | sed "s#/openclaw/#$dir/#g; s#/undo#$undo#g" | indent; then
    rm -rf -- "$undo"
    ok "OpenClaw asks its models as before"
  else
    warn "OpenClaw's configuration could not be taken back; the former one is $undo/openclaw.json.before"
  fi
}

# The settings, for who puts them there by hand.
print_openclaw() {
  local arguments
  mapfile -t arguments < <(proxy_arguments "$(proxy_url)")
  docker run --rm --network none --read-only --cap-drop ALL "openclaw-security/secbus:$(value_of SECURITY_VERSION | grep . || echo dev)" \
    openclaw configure --print "${arguments[@]}" </dev/null
}
