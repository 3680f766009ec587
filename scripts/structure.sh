#!/usr/bin/env bash
# Counts what docs/design.md says of the structure of the Go code, for each
# revision given (the working tree without any):
#
#   scripts/structure.sh 260b4e3 HEAD
#
# Product is every Go file below proto/ and services/ that is neither a _test.go
# file nor test support; test support is told by the name of its folder.
set -eu
cd "$(dirname "$0")/.."

support='/(testing|bustest|llmtest|telegramtest|normalizetest|secrettest|redacttest|torture|campaign|bench[a-z]*|demo)/'

count() { # count NAME COMMAND...: prints a row
  local name=$1
  shift
  printf '%-58s %10s\n' "$name" "$("$@")"
}
files() { find proto services -name '*.go' ! -name '*_test.go' | sort; }
product() { files | grep -vE "$support" | grep -v '/cli/demo'; }
lines() { xargs cat | wc -l; }
total_files() { product | wc -l; }
total_lines() { product | lines; }
support_in_product() { files | grep -E "$support" | grep -v '^services/testing/' | lines; }
per_file() { local n b; n=$(product | wc -l) b=$(product | xargs cat | wc -c); echo $((b / n)); }
small() { product | xargs wc -l | awk '$2 != "total" && $1 < 50' | wc -l; }
# matches PATTERN: files of the product in which the pattern is
matches() { product | xargs grep -lE -e "$1" 2>/dev/null | wc -l || true; }
# hits PATTERN: lines of the product with the pattern
hits() { product | xargs grep -hE -e "$1" 2>/dev/null | wc -l || true; }
# words: of lane trail report answer plan seen audit, those that name a package, a type or a file in more than one package
homonyms() {
  local word n total=0
  for word in lane trail report answer plan seen audit; do
    n=$({ product | xargs grep -HiE "^type ($word|${word}s)\b" 2>/dev/null | sed 's,/[^/]*$,,'
      product | grep -E "/$word/[^/]*$" | sed 's,/[^/]*$,,'; product | grep -E "/$word\.go$" | sed 's,/[^/]*$,,'; } | sort -u | wc -l)
    [ "$n" -gt 1 ] && total=$((total + n))
  done
  echo "$total"
}
# knows PATTERN FOLDER: Go files of the product outside a folder in which the pattern is
knows() { product | grep -v "^$2/" | xargs grep -lE -e "$1" 2>/dev/null | wc -l || true; }
# packages PATTERN: packages of the product in which the pattern is
packages() { product | xargs grep -lE -e "$1" 2>/dev/null | sed 's,/[^/]*$,,' | sort -u | wc -l || true; }

report() {
  count 'product: files' total_files
  count 'product: lines' total_lines
  count 'product: bytes a file' per_file
  count 'product: files under 50 lines' small
  count 'test support in the product tree: lines' support_in_product
  count 'loops over a durable consumer' packages '\.Fetch\((ctx|fetching)'
  count 'tables of secret shapes (packages with the AWS shape)' packages 'akia|AKIA'
  count 'hand-written backoff loops' hits 'for wait :=|min\(2\*wait'
  count 'functions that only sleep' hits '^func (\([a-z]+ [^)]*\) )?(sleep|pause|wait|Sleep)\(ctx'
  count 'atomic file replacements by hand' hits 'os\.Rename\('
  count 'packages with an Aho-Corasick automaton' packages 'Aho.+Corasick'
  count 'places that stop an HTTP server gracefully' hits 'erver\.Shutdown\('
  count 'table renderers set up' hits 'tabwriter\.NewWriter'
  count 'homonyms of lane trail report answer plan seen audit' homonyms
  count 'Go files that know the guard outside its folder' knows 'services/guard-stub"' services/guard-stub
  count 'Go files that know the notifier outside its folder' knows 'services/notifier"|RoleNotifier' services/notifier
  count 'Go files that know the webhook outside its folder' knows 'sink/webhook"|[a-z]+\.Webhook\b|Consumer\("webhook"\)|WEBHOOK_' services/notifier/internal/sink/webhook
}

if [ $# = 0 ]; then
  report
  exit
fi
for rev in "$@"; do
  tree=$(mktemp -d)
  trap 'rm -rf "$tree"' EXIT
  git archive "$rev" | tar -x -C "$tree"
  echo "== $rev"
  (cd "$tree" && report)
  rm -rf "$tree"
done
