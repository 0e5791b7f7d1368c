#!/usr/bin/env bash
# After prepare.sh, in the same folder: a vLLM by itself, and Slipway's load and `vllm bench serve` turn about on it.
#   clients.sh OUT [ROUNDS]
set -uo pipefail
out=$1 rounds=${2:-2}
# shellcheck source=benchmarks/gpu/steps.sh
source "$(dirname "$0")/steps.sh"
model=/mnt/models/random-llama-8b
export HF_HUB_OFFLINE=1 VLLM_NO_USAGE_STATS=1 VLLM_USE_FLASHINFER_SAMPLER=0 CUDA_VISIBLE_DEVICES=0

nvidia-smi > "$out/nvidia-smi-before.txt"
note "== serve"
/opt/serve/bin/python -m vllm.entrypoints.openai.api_server --model $model --served-model-name llama-8b --host 127.0.0.1 \
  --port 8000 --dtype bfloat16 --max-model-len 4096 --max-num-seqs 256 --gpu-memory-utilization 0.9 > "$out/vllm.log" 2>&1 &
server=$!
trap 'kill $server' EXIT
until curl -sf http://127.0.0.1:8000/health > /dev/null; do
  kill -0 $server || { note "the server ended"; exit 1; }
  sleep 2
done
note "== ready"
PYTHONPATH=include .slipway/venv/bin/python benchmarks/loadgen/real_server.py --url http://127.0.0.1:8000 --model llama-8b \
  --tokenizer $model --peer-python /opt/serve/bin/python --users 10 50 100 150 --processes 2 --seconds 12 --output-tokens 64 \
  --rounds "$rounds" --also spread 2>&1 | tee "$out/clients.txt"
note "== end"
