#!/usr/bin/env bash
# Python: every file compiles, and the exporter's tests pass. They need what models/export/requirements.txt names, which is installed
# into target/python, unless WINK_PYTHON is an interpreter that has it.
set -euo pipefail
cd "$(dirname "$0")/.."
source .ci/common.sh

has_tools python3 && python3 -c 'import venv, ensurepip' 2>/dev/null || install "Python 3.11" python3 python3-venv
git ls-files -z '*.py' | xargs -0 python3 -c '
import sys
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as file:
        compile(file.read(), path, "exec")
print(len(sys.argv) - 1, "files compile")'

tests=models/export/tests
[[ -d $tests ]] || exit 0
python=${WINK_PYTHON:-}
if [[ -z $python ]]; then
    venv=${CARGO_TARGET_DIR:-target}/python
    python=$venv/bin/python
    requirements=models/export/requirements.txt
    if ! cmp -s "$requirements" "$venv/installed"; then
        python3 -m venv "$venv"
        # Torch with all that it links to; everything else alone.
        torch=$(grep -E '^torch(vision)?==' "$requirements")
        # shellcheck disable=SC2086
        { timeout 240 "$python" -m pip install -q $torch && timeout 240 "$python" -m pip install -q --no-deps -r "$requirements"; } ||
            skip "pip could not install $requirements"
        cp "$requirements" "$venv/installed"
    fi
fi
HF_HUB_OFFLINE=1 "$python" -m unittest discover -s "$tests" -t models
