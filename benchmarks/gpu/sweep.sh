#!/usr/bin/env bash
# After prepare.sh, in the same folder, on a machine with two GPUs: `ray` against `mp` and pipeline parallel 2 by the sweep, then
# a deployment and its benchmark until there is a history to judge by.
#   sweep.sh OUT [CONF]     with CONF of the sweep, as JSON: its `points` in the place of the file's
set -uo pipefail
out=$1
swept=${2:-"{}"}
load='{"users": [100], "seconds": 10}'
# shellcheck source=benchmarks/gpu/steps.sh
source "$(dirname "$0")/steps.sh"

job sweep h100-pair 900 --job sweep --conf "$swept"
keep_log /var/lib/slipway h100-pair vllm-sweep
job deploy h100-pair 480 --conf "$load"
keep_log /var/lib/slipway h100-pair vllm-deploy
for number in 1 2 3; do
  job "benchmark-$number" h100-pair 200 --job benchmark --conf "$load"
done
job teardown h100-pair 120 --job teardown
nvidia-smi > "$out/nvidia-smi-after.txt"
finish h100-pair
