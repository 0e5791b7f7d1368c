#!/usr/bin/env bash
# After prepare.sh, in the same folder: on one GPU, a deploy, a redeploy with kept compile caches, two that must be put back
# (a KV cache too small, CUDA out of memory), one with the caches removed; then teardown.
#   redeploys.sh OUT
# A small completion is asked for all the time; each step's requests are counted in OUT/asked.txt.
set -uo pipefail
out=$1
# shellcheck source=benchmarks/gpu/steps.sh
source "$(dirname "$0")/steps.sh"
file=include/deployments/h100.yaml

peer() {
  USERS="50 100 150" benchmarks/gpu/bench_serve.sh /opt/serve/bin/python /mnt/models/random-llama-8b llama-8b \
    http://127.0.0.1:8000 "$out/bench-serve" > "$out/bench-serve.txt" 2>&1
}

# step NAME CONF: one run of the deploy DAG while the endpoint is asked
step() {
  note "== $1"
  .slipway/venv/bin/python benchmarks/gpu/ask.py http://127.0.0.1:8000 llama-8b > "$out/asked-$1.txt" &
  local asking=$!
  timeout 330 $slipway up $file --conf "$2" > "$out/$1.txt" 2>&1
  note "$1: exit code $?"
  kill -INT $asking; wait $asking
  sed "s/^/$1: /" "$out/asked-$1.txt" >> "$out/asked.txt"
  keep_log /var/lib/slipway h100 "vllm-$1"
  cp .slipway/airflow/slipway.db "$out/"
}

nvidia-smi > "$out/nvidia-smi-before.txt"
step deploy '{"seconds": 15}'
peer
step kept-caches '{"serve_args": {"max-num-seqs": 192}, "users": [100], "seconds": 10}'
step kv-too-small '{"serve_args": {"kv-cache-memory-bytes": 134217728}, "users": [100], "seconds": 10}'
step cuda-oom '{"serve_args": {"max-num-batched-tokens": 1048576, "enforce-eager": true}, "users": [100], "seconds": 10}'
rm -rf /var/lib/slipway/caches
step no-caches '{"serve_args": {"max-num-seqs": 224}, "users": [100], "seconds": 10}'
$slipway results h100 --runs 20 > "$out/results.txt"
$slipway up $file --job teardown > "$out/teardown.txt" 2>&1
nvidia-smi > "$out/nvidia-smi-after.txt"
cp .slipway/airflow/slipway.db "$out/"
tar -czf "$out/evidence.tar.gz" .slipway/airflow/slipway-artifacts .slipway/airflow/logs 2>/dev/null
note "== end"
