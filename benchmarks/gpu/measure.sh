#!/usr/bin/env bash
# After prepare.sh, in the same folder: deploy, measure, hold `vllm bench serve` beside it, tear down.
#   measure.sh deploy OUT      the deploy DAG, then `vllm bench serve` at the same loads
#   measure.sh again OUT       <name>.benchmark and `vllm bench serve` once more, then teardown and what is left
set -uo pipefail
what=$1 out=$2
# shellcheck source=benchmarks/gpu/steps.sh
source "$(dirname "$0")/steps.sh"
file=include/deployments/h100.yaml

peer() {
  benchmarks/gpu/bench_serve.sh /opt/serve/bin/python /mnt/models/random-llama-8b llama-8b http://127.0.0.1:8000 "$1"
}

case $what in
  deploy)
    nvidia-smi > "$out/nvidia-smi-before.txt"
    $slipway up $file 2>&1 | tee "$out/deploy.txt"
    $slipway results h100 | tee "$out/results.txt"
    peer "/tmp/bench-serve-1" | tee "$out/bench-serve-1.txt"
    ;;
  again)
    $slipway up $file --job benchmark 2>&1 | tee "$out/benchmark.txt"
    peer "/tmp/bench-serve-2" | tee "$out/bench-serve-2.txt"
    $slipway results h100 | tee "$out/results.txt"
    $slipway up $file --job teardown 2>&1 | tee "$out/teardown.txt"
    nvidia-smi > "$out/nvidia-smi-after.txt"
    ;;
esac
cp .slipway/airflow/slipway.db "$out/"
tar -czf "$out/bench-serve.tar.gz" -C /tmp --wildcards 'bench-serve-*' 2>/dev/null
tar -czf "$out/logs.tar.gz" .slipway/airflow/logs /var/lib/slipway/agents 2>/dev/null
