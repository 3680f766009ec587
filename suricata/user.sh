# shellcheck shell=sh
# For run.sh and update.sh, which read it at their start: giving up root.

# hand_over DIR ...: gives directories to SURICATA_USER. Once they are that user's, root
# without its capabilities may find parts of them closed.
hand_over() {
  for dir in "$@"; do
    chown -R "$SURICATA_USER" "$dir" || [ "$(stat -c %u:%g "$dir")" = "$SURICATA_USER" ] || return
  done
}

# become RIGHTS DIRS SCRIPT [argument ...]
#
# As root with SURICATA_USER, begins the script again as that user and group, with these
# capabilities alone, after it was given the directories. Where the container or the image
# does not let it, it says so and returns.
become() {
  if [ -z "${SURICATA_USER:-}" ] || [ "$(id -u)" != 0 ]; then return; fi
  rights=$1 dirs=$2
  shift 2
  as_user="setpriv --reuid ${SURICATA_USER%%:*} --regid ${SURICATA_USER##*:} --clear-groups --inh-caps $rights --ambient-caps $rights"
  # shellcheck disable=SC2086 # directories, a command and its options
  if refused=$(hand_over $dirs 2>&1 && $as_user true 2>&1); then
    exec $as_user /bin/sh "$@"
  fi
  say "stays root, as this container or image does not let it become $SURICATA_USER: $refused"
}
