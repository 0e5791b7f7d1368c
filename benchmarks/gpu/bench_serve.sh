#!/usr/bin/env bash
# The reference matrix by `vllm bench serve`, against the endpoint that Slipway has brought up.
#   bench_serve.sh PYTHON MODEL_FOLDER SERVED_NAME BASE_URL OUT_FOLDER
# USERS are the loads, "10 50 100 150" unless set.
set -euo pipefail
python=$1 model=$2 served=$3 url=$4 out=$5
mkdir -p "$out"
for users in ${USERS:-10 50 100 150}; do
  HF_HUB_OFFLINE=1 "$python" -m vllm.entrypoints.cli.main bench serve --backend openai-chat --base-url "$url" \
    --endpoint /v1/chat/completions --model "$model" --tokenizer "$model" --served-model-name "$served" \
    --dataset-name random --random-input-len 32 --random-output-len 64 --ignore-eos --temperature 0 \
    --max-concurrency "$users" --num-prompts $((users * 25)) --num-warmups "$users" --disable-tqdm \
    --percentile-metrics ttft,tpot,itl,e2el --metric-percentiles 50,95,99 \
    --save-result --result-dir "$out" --result-filename "users-$users.json" > "$out/users-$users.txt" 2>&1 ||
    { tail -5 "$out/users-$users.txt"; exit 1; }
  grep -E "Output token throughput|Median TTFT|Median TPOT" "$out/users-$users.txt" | sed "s/^/$users users: /"
done
