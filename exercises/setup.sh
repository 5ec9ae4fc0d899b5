#!/bin/sh
# Makes the environment .venv beside this folder and installs the pinned versions, once; run again, it does nothing.
# usage: sh exercises/setup.sh [EXTRA]    EXTRA: notebook, or in the repository also graders or dev
# PYTHON names another Python than python3, as in PYTHON=python3.13 sh exercises/setup.sh
set -eu
cd "$(dirname "$0")/.."
here=$(pwd)
ready=".venv/ready${1:+-$1}"
what=".${1:+[$1]}"
[ -s .venv/ready ] && [ "$(cat .venv/ready)" != "$here" ] && rm -rf .venv # the folder was moved: programs in it name the old place
[ "$ready" -nt requirements.lock ] && [ -x .venv/bin/pytest ] && exit 0

with_uv() { # uv takes the build of torch that fits the machine: no CUDA libraries where there is no GPU
  command -v uv >/dev/null 2>&1 || return 1
  [ -x .venv/bin/python ] || uv venv -q ${PYTHON:+--python "$PYTHON"} .venv || return 1
  uv pip install -q --python .venv/bin/python --torch-backend=auto -c requirements.lock -e "$what"
}

with_pip() {
  [ -x .venv/bin/pip ] || "${PYTHON:-python3}" -m venv .venv
  .venv/bin/pip install -q -c requirements.lock -e "$what"
}

with_uv || {
  command -v uv >/dev/null 2>&1 && echo "uv could not install it; pip goes on" >&2
  with_pip
}
[ "$ready" = .venv/ready ] || touch "$ready"
echo "$here" >.venv/ready
