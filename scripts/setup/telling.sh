# shellcheck shell=bash
# What setup.sh says, and how it ends when something is wrong. Part of setup.sh.

doing="starting"
explained=
scratch=

step() {
  doing=$1
  printf '\n%s\n' "== $1"
}
ok() { printf '  ok    %s\n' "$*"; }
note() { printf '  note  %s\n' "$*"; }
warn() { printf '  WARN  %s\n' "$*"; }

# die WHAT [REMEDY ...]: each remedy is a line.
die() {
  explained=yes
  {
    printf '  FAIL  %s\n' "$1"
    shift
    [ $# -eq 0 ] || printf '        %s\n' "$@"
  } >&2
  exit 1
}

wrong_usage() {
  explained=yes
  printf 'setup.sh: %s\nTry ./setup.sh --help.\n' "$1" >&2
  exit 2
}

on_exit() {
  local status=$?
  show_typing
  [ -z "$scratch" ] || rm -f -- "$scratch"
  [ "$status" -eq 0 ] || [ -n "$explained" ] ||
    printf '\nStopped (status %d) at: %s. Run it again when that is solved: it goes on from there.\n' "$status" "$doing" >&2
}
on_signal() {
  explained=yes
  printf '\nInterrupted at: %s. Nothing is half written; run it again to go on.\n' "$doing" >&2
  exit 130
}
trap on_exit EXIT
trap on_signal INT TERM

# What a program said, without what could steer a terminal.
plain() { LC_ALL=C tr -d '\000-\010\013-\037\177'; }
indent() { sed 's/^/        /'; }
