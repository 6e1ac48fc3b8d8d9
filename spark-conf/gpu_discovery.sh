#!/bin/sh
# Tells Spark which GPUs this machine has, as the JSON that spark.{worker,executor}.resource.gpu.discoveryScript expects:
#   {"name": "gpu", "addresses": ["0", "1"]}
set -eu

command -v nvidia-smi >/dev/null 2>&1 || {
    echo "gpu_discovery.sh: nvidia-smi was not found, so no GPU can be offered. Install the NVIDIA driver." >&2
    exit 1
}
indices=$(nvidia-smi --query-gpu=index --format=csv,noheader)
[ -n "$indices" ] || {
    echo "gpu_discovery.sh: nvidia-smi lists no GPU." >&2
    exit 1
}
printf '{"name": "gpu", "addresses": [%s]}\n' "$(printf '%s\n' "$indices" | sed 's/[[:space:]]//g; s/.*/"&"/' | paste -sd, -)"
