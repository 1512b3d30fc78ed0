# Shared by the scripts; sourced, not run.
# shellcheck shell=bash

# Where tools that only the tests need are kept between runs.
tools_dir() { printf '%s\n' "${AO_TOOLS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/ao-tools}"; }

say() { printf '%s\n' "$*" >&2; }

in_ci() { [ "${CI:-}" = true ]; }

# The processes that carry NAME=VALUE in their environment, as process ids, one a line. Zombies have no environment.
processes_marked() {
  local file pid
  # A process may end while it is looked at: that is no error.
  { grep -lzxF -- "$1=$2" /proc/[0-9]*/environ 2>/dev/null || true; } | while read -r file; do
    pid=${file#/proc/}
    printf '%s\n' "${pid%/environ}"
  done
}
