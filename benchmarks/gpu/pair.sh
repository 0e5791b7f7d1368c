#!/usr/bin/env bash
# After prepare.sh, in the same folder, on a machine with two GPUs: tensor parallel 2 over Ray, and a rank killed in service.
#   pair.sh OUT
set -uo pipefail
out=$1
# shellcheck source=benchmarks/gpu/steps.sh
source "$(dirname "$0")/steps.sh"

nvidia-smi topo -m > "$out/topology.txt"
job deploy h100-pair 480
keep_log /var/lib/slipway h100-pair vllm-deploy

# One rank of the running engine: a Ray worker of this deployment on the second GPU, by its own pid.
rank=$(nvidia-smi --id=1 --query-compute-apps=pid --format=csv,noheader | head -1)
note "== kill rank $rank ($(tr '\0' ' ' < "/proc/$rank/cmdline"))"
.slipway/venv/bin/python benchmarks/gpu/ask.py http://127.0.0.1:8000 llama-8b > "$out/asked-killed-rank.txt" &
asking=$!
sleep 2
kill -KILL "$rank"
sleep 15
for _ in $(seq 100); do
  .slipway/venv/bin/python benchmarks/gpu/ask.py http://127.0.0.1:8000 llama-8b once && break
  sleep 2
done
kill -INT $asking; wait $asking
keep_log /var/lib/slipway h100-pair vllm-killed-rank
job after-killed-rank h100-pair 120 --job benchmark --conf '{"users": [100], "seconds": 10}'
job teardown h100-pair 120 --job teardown
nvidia-smi > "$out/nvidia-smi-after.txt"
finish h100-pair
