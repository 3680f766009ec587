# shellcheck shell=bash
# Questions on a terminal. Part of setup.sh.

yes=
hidden=
interactive() { [ -z "$yes" ] && [ -t 0 ]; }

# ask PROMPT [DEFAULT]: sets $answer.
ask() {
  printf '  %s%s: ' "$1" "${2:+ [$2]}"
  IFS= read -r answer || die "the input ended in the middle of the questions"
  [ -n "$answer" ] || answer=${2:-}
}

# ask_secret PROMPT: sets $answer. What is typed is not shown, from before the
# prompt on: `read -s` would show what comes in between.
ask_secret() {
  hidden=yes
  stty -echo
  printf '  %s: ' "$1"
  IFS= read -r answer || die "the input ended in the middle of the questions"
  show_typing
  printf '\n'
}
show_typing() {
  [ -z "$hidden" ] || stty echo
  hidden=
}

# confirm PROMPT DEFAULT: whether the answer is y. DEFAULT is y or n.
confirm() {
  local hint=y/N
  [ "$2" = n ] || hint=Y/n
  while true; do
    printf '  %s [%s]: ' "$1" "$hint"
    IFS= read -r answer || die "the input ended in the middle of the questions"
    case ${answer:-$2} in
    [Yy] | [Yy]es) return 0 ;;
    [Nn] | [Nn]o) return 1 ;;
    esac
  done
}

# ask_valid KEY PROMPT [DEFAULT]: asks until the answer is a valid value.
ask_valid() {
  local fault ask=ask
  ! is_secret "$1" || ask=ask_secret
  while true; do
    "$ask" "$2" "${3:-}"
    fault=$(fault_of "$1" "$answer")
    [ -n "$fault" ] || break
    warn "$fault"
  done
}
