# Shared by the scripts in ops/: finds Python, makes .venv in the checkout, installs the locked requirements.
# Sourced with `root` set to the absolute path of the checkout. Messages go to standard error.

readonly EXIT_ENVIRONMENT=5
readonly APT_LOCK_TIMEOUT_SECONDS=120
readonly SHOWN_LOG_LINES=30

say() { printf '%s\n' "$*" >&2; }

fail_environment() {
  say "ploinky: $*"
  exit "$EXIT_ENVIRONMENT"
}

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

can_make_environments() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

# Print the first usable interpreter: new enough and able to make environments, else merely new enough.
find_python() {
  local name fallback=""
  for name in python3.13 python3.12 python3.11 python3; do
    is_new_enough "$name" || continue
    if can_make_environments "$name"; then
      printf '%s' "$name"
      return
    fi
    fallback=${fallback:-$name}
  done
  printf '%s' "$fallback"
}

install_venv_support() {
  local python=$1 package
  package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    fail_environment "this Python cannot make environments. Run: sudo apt-get install -y $package"
  fi
  say "Installing $package (this Python cannot make environments without it)..."
  local -a install=(apt-get -o "DPkg::Lock::Timeout=$APT_LOCK_TIMEOUT_SECONDS" install -y --no-install-recommends "$package")
  export DEBIAN_FRONTEND=noninteractive
  "${install[@]}" </dev/null >/dev/null 2>&1 ||
    { apt-get update </dev/null >/dev/null 2>&1 && "${install[@]}" </dev/null >/dev/null 2>&1; } ||
    fail_environment "apt-get could not install $package. Run: apt-get update && apt-get install -y $package"
}

# The scripts of an environment hold its absolute path, so a moved or copied checkout needs a new one.
is_environment_sound() {
  local made_for="$root/.venv/.made-for"
  [ ! -e "$root/.venv/.installing" ] || return 1
  [ ! -e "$made_for" ] || [ "$(cat -- "$made_for")" = "$root" ] || return 1
  "$root/.venv/bin/python" -I -c 'import pip' 2>/dev/null
}

make_environment() {
  local python
  python=$(find_python)
  [ -n "$python" ] || fail_environment "needs Python 3.11 or newer. Install it, for example: sudo apt-get install -y python3 python3-venv"
  can_make_environments "$python" || install_venv_support "$python"
  rm -rf -- "$root/.venv"
  "$python" -m venv -- "$root/.venv" >&2 || fail_environment "could not make $root/.venv (see above); is the disk full or read-only?"
  printf '%s\n' "$root" >"$root/.venv/.made-for"
}

# Say which state of the checkout an installation belongs to. Starts one small process, reads no network.
describe_installation() {
  local lock=$1 version
  version=$("$root/.venv/bin/python" -I -S -c 'import sys; print(sys.version_info[:2], sys.prefix)' 2>/dev/null) || return 1
  printf '%s\n' "$version"
  cat -- "$lock" "$root/pyproject.toml" | sha256sum
}

# pip's remarks about the machine's own settings are noise when all went well, so they are shown on failure only.
install_locked() {
  local lock=$1 log="$root/.venv/.setup.log"
  local -a pip=("$root/.venv/bin/python" -I -m pip install --quiet --disable-pip-version-check --no-input --no-deps)
  : >"$root/.venv/.installing" # found by the next start when this one is killed: it then starts afresh
  if ! { "${pip[@]}" --require-hashes -r "$lock" &&
    "${pip[@]}" --no-index --no-build-isolation -e "$root"; } >"$log" 2>&1 </dev/null; then
    tail -n "$SHOWN_LOG_LINES" -- "$log" >&2
    fail_environment "could not install $lock (see above). Check the network or pip's settings, then start again."
  fi
}

# Bring .venv to the state of the lock file. Idempotent; concurrent callers wait for each other; a second call costs
# two small processes and touches no network. $1: requirements (what runs), requirements-dev (and what
# tests) or requirements-bench (and what measures).
ensure_environment() {
  local lock="$root/ops/$1.txt" stamp="$root/.venv/.installed-$1" wanted guard
  exec {guard}<"$root/ops" # the folder itself is the lock: nothing to create, nothing left behind
  flock "$guard"
  if ! wanted=$(describe_installation "$lock") || [ ! -f "$stamp" ] || [ "$(cat -- "$stamp")" != "$wanted" ]; then
    say "Setting up Python environment (first time, about a minute)..."
    is_environment_sound || make_environment
    rm -f -- "$root/.venv/.installed-"*
    install_locked "$lock"
    describe_installation "$lock" >"$stamp"
    # The wider lock files contain what runs, so a start after a test run has nothing to install.
    describe_installation "$root/ops/requirements.txt" >"$root/.venv/.installed-requirements"
    rm -f -- "$root/.venv/.installing"
    say "Python environment is ready."
  fi
  exec {guard}<&- # the server must not inherit the lock
}
