#!/usr/bin/env bash
# A sweep as a Slurm array: one task of sweep.sh in each element. See README.md.
#
#   sbatch --array=0-$(($(tools/cluster/sweep.sh count CONF) - 1)) tools/cluster/slurm.sh CONF OUT
#
#SBATCH --job-name=wink
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=wink-%A_%a.log
set -euo pipefail
# Slurm runs a copy of this script: sweep.sh is found from the folder in which the job was submitted.
echo "task $SLURM_ARRAY_TASK_ID on $SLURMD_NODENAME, start ${SLURM_RESTART_COUNT:-0}, $(date --iso-8601=seconds)"
exec "${SWEEP:-tools/cluster/sweep.sh}" task "$1" "$SLURM_ARRAY_TASK_ID" "$2"
