#!/usr/bin/env bash
# Says in one line what is missing before anything is built. Usage: prerequisites.sh PYTHON
set -u
fail() { printf 'error: %s\nhint: %s\n' "$1" "$2" >&2; exit 1; }
python=$1

command -v "$python" >/dev/null 2>&1 ||
  fail "no $python on PATH; Python 3.11 or newer is needed" "install it, or name one: make PYTHON=/path/to/python3.11 setup"
"$python" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' ||
  fail "$("$python" --version) is too old; Python 3.11 or newer is needed" "name a newer one: make PYTHON=/path/to/python3.11 setup"
"$python" -c 'import venv, ensurepip' 2>/dev/null ||
  fail "$python lacks the venv module" "install it (Debian: apt-get install python3-venv)"
command -v cargo >/dev/null 2>&1 ||
  fail "no cargo on PATH; Rust 1.95 or newer by rustup is needed" "install rustup, then: rustup toolchain install stable"
command -v rustup >/dev/null 2>&1 ||
  fail "no rustup on PATH; it brings the wasm32-wasip2 target for the guests" "install rustup, then: rustup target add wasm32-wasip2"
command -v cc >/dev/null 2>&1 ||
  fail "no C compiler (cc) on PATH" "install one (Debian: apt-get install build-essential)"
