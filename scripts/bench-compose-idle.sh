#!/usr/bin/env bash
# Measures the memory of the stack in containers while nothing happens: starts
# it, unless it is running, waits until it has settled, and takes the median of
# several readings for each container. What it started it stops again; volumes
# that were there before stay.
set -euo pipefail
cd "$(dirname "$0")/.."
readings=${READINGS:-9} pause=${PAUSE:-5} settle=${SETTLE:-60}

# What this project publishes, and what its predecessor said of the same parts.
ours=(security-nats security-shipper-suricata security-shipper-tracee security-llm-proxy security-notifier security-auditor)
sensors=(security-suricata security-tracee)
declare -A before=([security-llm-proxy]=100 [security-notifier]=10 [security-suricata]=100 [security-tracee]=80)

volumes() { docker volume ls -q --filter label=com.docker.compose.project=openclaw-security | sort; }

if [ -n "$(docker ps -q --filter name=^security-nats$)" ]; then
  echo "measuring the stack that is running"
else
  had=$(volumes)
  stop() {
    docker compose --profile '*' down >/dev/null 2>&1 || true
    comm -13 <(echo "$had") <(volumes) | xargs -r docker volume rm >/dev/null
  }
  trap stop EXIT
  docker compose --progress quiet up -d --build --quiet-pull
fi
echo "waiting ${settle} s for the stack to settle"
sleep "$settle"

running=()
for name in "${ours[@]}" "${sensors[@]}"; do
  if [ "$(docker inspect -f '{{.State.Running}}' "$name" 2>/dev/null)" = true ]; then running+=("$name"); fi
done
for name in "${ours[@]}"; do
  case " ${running[*]} " in *" $name "*) ;; *) echo "$name is not running" >&2; exit 1 ;; esac
done

samples=$(mktemp)
for ((i = 0; i < readings; i++)); do
  docker stats --no-stream --format '{{.Name}} {{.MemUsage}}' "${running[@]}" >>"$samples"
  sleep "$pause"
done

median() { # median NAME: MiB
  awk -v name="$1" '$1 == name {
    n = $2; unit = $2; sub(/[A-Za-z]+$/, "", n); sub(/^[0-9.]+/, "", unit)
    print n * (unit == "GiB" ? 1024 : unit == "KiB" ? 1 / 1024 : unit == "B" ? 1 / 1048576 : 1)
  }' "$samples" | sort -n | awk '{ v[NR] = $1 } END { printf "%.1f", v[int((NR + 1) / 2)] }'
}

printf '%-28s %8s %12s\n' container MiB predecessor
total=0
for name in "${running[@]}"; do
  m=$(median "$name")
  printf '%-28s %8s %12s\n' "$name" "$m" "${before[$name]:+~${before[$name]} MB}"
  case " ${ours[*]} " in *" $name "*) total=$(awk -v a="$total" -v b="$m" 'BEGIN { printf "%.1f", a + b }') ;; esac
done
rm -f "$samples"
echo "all of ours, NATS included: $total MiB"
echo "result idle_total_mb $total"
