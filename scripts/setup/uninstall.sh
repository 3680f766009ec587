# shellcheck shell=bash
# Removing what setup.sh made, and nothing else. Part of setup.sh.

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
  restore_openclaw
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
  # Without a compose file, compose uses what the engine knows of the project, and
  # so finds all of it, even if .env.security has changed.
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
  rm -rf -- .secrets
  ok "$env_file and its backups are deleted"
  # Compose puts its project's name on what it builds.
  left=$(docker image ls --filter "label=com.docker.compose.project=$project" --filter 'reference=openclaw-security/*' \
    --format '{{.Repository}}:{{.Tag}}' | grep -v ':<none>$' || true)
  # shellcheck disable=SC2086 # one argument for each image
  [ -z "$left" ] || docker image rm $left >/dev/null || warn "some images could not be deleted: docker image ls 'openclaw-security/*' shows them"
  ok "the built images are deleted; Suricata's and Tracee's are not this script's alone, and stay"
}
