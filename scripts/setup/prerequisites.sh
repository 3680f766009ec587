# shellcheck shell=bash
# What the machine must have. Part of setup.sh.

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
    warn "$free GiB are free in $root. The record may take 8 in time; STORE_MAX makes it smaller"
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
