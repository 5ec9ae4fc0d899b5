#!/usr/bin/env bash
# Gradescope runs this once, as root, when it builds the autograder's image (Ubuntu 22.04 or newer).
set -euo pipefail
apt-get update -q
apt-get install -q -y --no-install-recommends python3.11 python3.11-venv libseccomp2
python3.11 -m venv /autograder/venv
cd /autograder/source/project
PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu /autograder/venv/bin/pip install -q -c requirements.lock -e '.[graders]'
