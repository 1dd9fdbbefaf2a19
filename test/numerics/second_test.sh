#!/usr/bin/env bash
# Runs second_test.py beside it where there is a Python with numpy: IBID=build/ibid LOGITS=build/test/logits test/numerics/second_test.sh
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for python in python3 /usr/bin/python3; do
  if "$python" -c 'import numpy' 2>/dev/null; then exec "$python" -B "$here/second_test.py" "$(realpath "$IBID")" "$(realpath "$LOGITS")"; fi
done
echo "SKIPPED for want of numpy (Debian: python3-numpy)"
exit 77
