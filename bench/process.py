"""What Linux says of the server's processes, where the server is on this machine: CPU time, memory."""
import os
from pathlib import Path


def server_cpu(connection):
    """CPU seconds of all the server's processes so far, those that ended included; None where
    they cannot be seen. Its unit is a hundredth."""
    if not connection.info.host.startswith("/"):
        return None
    try:
        postmaster = process_times(connection.info.backend_pid)[0]
        # A process that ends in between would be counted twice, or not at all.
        ended, living = None, 0
        while ended != (now := sum(process_times(postmaster)[1:])):
            ended, living = now, living_ticks(postmaster)
        return (ended + living) / os.sysconf("SC_CLK_TCK")
    except OSError:
        return None


def living_ticks(parent):
    """User and system ticks of all the processes that have this parent."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*"):
        try:
            of, user, system, *_ = process_times(path.name)
        except OSError:
            continue
        ticks += (user + system) * (of == parent)
    return ticks


def process_times(pid):
    """Parent, own user and system ticks, those of children that ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[1]), *map(int, fields[11:15])


def since(start, end):
    return None if start is None or end is None else end - start


def own_memory(pid):
    """Bytes of a process that are no file's and not shared; 0 where they cannot be seen."""
    try:
        return own_bytes(Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0


def own_bytes(status):
    lines = [line.split() for line in status.splitlines() if line.startswith("RssAnon:")]
    return int(lines[0][1]) * 1024 if lines else 0
