# shellcheck shell=bash
# Starting the stack and finding out whether it works. Part of setup.sh.

start_stack() {
  note "the first start makes the keys and the streams, and fetches Suricata's rules"
  # Compose does not remove the container of a sensor that has run and is left
  # out now.
  [ "$(value_of SURICATA_REPLICAS)" != 0 ] || docker rm --force security-suricata security-suricata-update >/dev/null 2>&1 || true
  [ "$(value_of TRACEE_REPLICAS)" != 0 ] || docker rm --force security-tracee >/dev/null 2>&1 || true
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
  local network profiles
  network=$(value_of OPENCLAW_NETWORK)
  profiles=$(value_of COMPOSE_PROFILES)
  step "What to do next"
  if [ -z "$network" ]; then
    cat <<TEXT
  Connect OpenClaw's containers to the network on which the proxy is, and that Suricata watches:
      docker network connect $own_network $(gateway)
TEXT
  fi
  if [ ! -e "$undo/openclaw.json.changes" ]; then
    cat <<TEXT
  Have OpenClaw use the proxy, and take the API key away from it: ./setup.sh --openclaw-config FILE does
  the first, or in ~/.openclaw/openclaw.json, beside what is there (docs/openclaw.md):
TEXT
    print_openclaw | indent || true
  fi
  cat <<TEXT

  Look at it:     docker compose run --rm secbus status
                  docker compose run --rm secbus tail --since 15m
                  docker compose logs -f security-notifier
  Change it:      edit $env_file, then: ./setup.sh --yes --no-build
  Remove it:      ./setup.sh uninstall
TEXT
  ! has "${profiles//,/ }" monitoring || echo "  Figures:        http://127.0.0.1:$(value_of GRAFANA_PORT | grep . || echo 3000) (user admin; the password is in $env_file)"
}
