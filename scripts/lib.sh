# Shared by the scripts; sourced, not run.
# shellcheck shell=bash

# Where tools that only the tests need are kept between runs.
tools_dir() { printf '%s\n' "${AO_TOOLS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/ao-tools}"; }

say() { printf '%s\n' "$*" >&2; }

in_ci() { [ "${CI:-}" = true ]; }

# Installs packages where nobody needs to be asked for it: as root, with apt.
install_by_apt() { # PACKAGE…
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then return 1; fi
  say "installing with apt-get: $*"
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends)
  "${apt[@]}" "$@" >&2 || { apt-get update >&2 && "${apt[@]}" "$@" >&2; }
}

# The processes that carry NAME=VALUE in their environment, as process ids, one a line. Zombies have no environment.
processes_marked() {
  local file pid
  # A process may end while it is looked at: that is no error.
  { grep -lzxF -- "$1=$2" /proc/[0-9]*/environ 2>/dev/null || true; } | while read -r file; do
    pid=${file#/proc/}
    printf '%s\n' "${pid%/environ}"
  done
}
