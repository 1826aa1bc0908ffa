"""pgbench: where it lies, and a run of it."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np


def find_pgbench():
    pg_config = os.environ.get("PG_CONFIG", "pg_config")
    if shutil.which(pg_config):
        found = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=True)
        beside = Path(found.stdout.strip()) / "pgbench"
        if beside.exists():
            return str(beside)
    return "pgbench"


def run_pgbench(command, log_folder):
    """QPS, and latencies in milliseconds from the per-transaction log when there is one."""
    if log_folder:
        for old in Path(log_folder).glob("log.*"):
            old.unlink()
        command = command[:1] + [f"--log-prefix={log_folder}/log"] + command[1:]
    result = subprocess.run(command, capture_output=True, text=True)
    rate = re.search(r"tps = ([\d.]+)", result.stdout)
    if result.returncode or not rate:
        raise SystemExit(f"pgbench failed:\n{result.stdout}{result.stderr}")
    if not log_folder:
        return None
    logs = [np.loadtxt(path, usecols=2, ndmin=1) for path in Path(log_folder).glob("log.*")]
    latency = np.concatenate(logs) / 1000
    p50, p99 = np.percentile(latency, (50, 99))
    return {"qps": float(rate[1]), "p50_ms": float(p50), "p99_ms": float(p99)}
