#!/usr/bin/env bash
# Runs every fuzz target of the module for FUZZTIME each, one after another.
set -eu
cd "$(dirname "$0")/.."
time=${FUZZTIME:-20s}
grep -rlE '^func Fuzz' --include='*_test.go' . | sort | while read -r file; do
  sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p' "$file" | while read -r target; do
    echo "fuzz: $(dirname "$file") $target for $time"
    # Minimizing each new input would take most of so short a time.
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 1x "$(dirname "$file")"
  done
done
