#!/usr/bin/env bash
# Runs the fuzz targets here: run.sh [SECONDS [TARGET...]], as tools/fuzz.sh says.
set -euo pipefail
cd "$(dirname "$0")"
exec ../../../tools/fuzz.sh . "$@"
