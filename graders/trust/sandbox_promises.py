"""What a sandbox promises, and for each promise the code that tries, inside a worker, to break it.

Each function is sent as text to a worker (see `selfcheck`), so it imports what it needs itself. `told` holds what somebody
who knows this machine would know: paths, process ids, addresses. It returns what it could do and should not have been able to.
"""
# ruff: noqa: SIM105
# mypy: ignore-errors

from __future__ import annotations

from typing import Any


def read_solutions(told: dict[str, Any]) -> list[str]:
    """read solutions: and hidden tests"""
    import os

    found = []
    for path in told["solutions"]:
        try:
            with open(path) as file:
                file.read(1)
            found.append(f"read {path}")
        except OSError:
            pass
        try:
            if os.path.basename(path) in os.listdir(os.path.dirname(path)):
                found.append(f"listed {os.path.dirname(path)}")
        except OSError:
            pass
    return found


def read_seed(told: dict[str, Any]) -> list[str]:
    """read seed: the gradebook and the verdicts"""
    found = []
    for path in told["secrets"]:
        try:
            with open(path) as file:
                file.read(1)
            found.append(f"read {path}")
        except OSError:
            pass
    return found


def read_another_submission(told: dict[str, Any]) -> list[str]:
    """read another submission: in its folder, or what its worker left"""
    import os

    found = []
    try:
        with open(told["submission"]) as file:
            file.read(1)
        found.append(f"read {told['submission']}")
    except OSError:
        pass
    for folder in (told["scratch"], "/dev/shm", "/tmp", "/var/tmp"):
        try:
            for name in os.listdir(folder):
                for path in (f"{folder}/{name}", f"{folder}/{name}/note"):
                    if name == "note" or path.endswith("/note"):
                        with open(path) as file:
                            if file.read() == "left by another exercise":
                                found.append(f"read {path}")
        except OSError:
            continue
    return found


def write_outside(told: dict[str, Any]) -> list[str]:
    """write outside: of the scratch folder; also rights, times, names and lengths of files there"""
    import ctypes
    import os

    for folder in told["folders"]:  # whether anything came of this is looked at from outside
        try:
            os.close(os.open(f"{folder}/{told['name']}", os.O_CREAT | os.O_WRONLY))
        except OSError:
            pass
    path = told["target"]
    libc = ctypes.CDLL(None)
    for attempt in (
        lambda: os.chmod(path, 0o777),
        lambda: os.chmod(os.path.dirname(path), 0o777),
        lambda: os.truncate(path, 0),
        lambda: os.close(os.open(path, os.O_RDONLY | os.O_TRUNC)),
        lambda: os.utime(path, (0, 0)),
        lambda: os.setxattr(path, "user.graders", b"x"),
        lambda: os.rename(path, path + "-moved"),
        lambda: os.link(path, path + "-linked"),
        lambda: os.remove(path),
        lambda: os.symlink(path, path + "-symlink"),
        lambda: libc.rename(path.encode(), b"taken"),
    ):
        try:
            attempt()
        except OSError:
            pass
    return []


def network(told: dict[str, Any]) -> list[str]:
    """network: sockets of every kind but those between processes of one machine"""
    import socket

    found = []
    try:
        socket.create_connection(("127.0.0.1", told["port"]), 2).close()
        found.append(f"connected to port {told['port']}")
    except OSError:
        pass
    # IPv4 and 6, netlink, packets, the kernel's cryptography, a virtual machine's host, XDP
    for kind in (2, 10, 16, 17, 38, 40, 44):
        for shape in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):
            try:
                socket.socket(kind, shape).close()
                found.append(f"made a socket of kind {kind}")
            except OSError:
                pass
    return found


def services(told: dict[str, Any]) -> list[str]:
    """services: programs of this machine that listen on a path or a name, such as a desktop's bus or Docker"""
    import socket

    found = []
    for address in ("\0" + told["abstract"], told["path"]):
        try:
            with socket.socket(socket.AF_UNIX) as made:
                made.connect(address)
            found.append(f"connected to {address}".replace("\0", "@"))
        except OSError:
            pass
    for kind in (socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
        try:
            pair = socket.socketpair(socket.AF_UNIX, kind)
            pair[0].sendmsg([b"x"], [], 0, told["datagrams"])  # whether it arrived is looked at from outside
        except OSError:
            pass
    return found


def other_processes(told: dict[str, Any]) -> list[str]:
    """other processes: read, signalled, changed; what stays behind a worker; names in a keyring"""
    import ctypes
    import os
    import resource
    import signal

    found = []
    for pid in told["pids"]:
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if b"graders" not in file.read():
                    continue  # another process that has this number in here
            found.append(f"read /proc/{pid}/cmdline")
        except FileNotFoundError:
            continue  # not in sight
        except OSError:
            pass
        for name in ("environ", "maps", "mem", "fd/0"):
            try:
                open(f"/proc/{pid}/{name}", "rb").close()
                found.append(f"read /proc/{pid}/{name}")
            except OSError:
                pass
        for what, attempt in (
            ("signalled", lambda pid=pid: os.kill(pid, 0)),
            ("limited", lambda pid=pid: resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))),
            ("slowed down", lambda pid=pid: os.setpriority(os.PRIO_PROCESS, pid, 0)),
            ("moved", lambda pid=pid: os.sched_setaffinity(pid, os.sched_getaffinity(pid))),
        ):
            try:
                attempt()
                found.append(f"{what} process {pid}")
            except OSError:
                pass
    try:
        with open("/proc/keys") as file:
            if "graders-selfcheck" in file.read():
                found.append("read the name of a key of who grades")
    except OSError:
        pass
    if os.fork() == 0:
        try:
            os.setsid()
        except OSError:
            pass
        ctypes.CDLL(None).prctl(
            15, told["name"].encode(), 0, 0, 0
        )  # whether it is still there is looked at from outside
        ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)
        while True:
            signal.pause()
    return found


def keyring(told: dict[str, Any]) -> list[str]:
    """keyring: keys of who grades, and keys left for others"""
    import ctypes
    import platform

    call = ctypes.CDLL(None, use_errno=True).syscall
    number = {"x86_64": 250}.get(platform.machine(), 219)
    found = []
    for keyring in (-3, -4, -5):
        if call(number, 10, keyring, b"user", b"graders-selfcheck", 0) > 0:
            found.append("found a key of who grades")
        if call({"x86_64": 248}.get(platform.machine(), 217), b"user", b"graders-worker", b"x", 1, keyring) > 0:
            found.append("left a key")
    return found


def devices(told: dict[str, Any]) -> list[str]:
    """devices: all but null, zero, full, random, urandom; the machine's shared memory"""
    import glob
    import os

    found = []
    names = (
        "kmsg kvm fuse vsock userfaultfd mem port loop-control loop0 vda sda nvme0n1 net/tun input/event0 ptmx hwrng"
    )
    for path in [*(f"/dev/{name}" for name in names.split()), *glob.glob("/dev/tty*"), *glob.glob("/dev/vcs*")]:
        for flags in (os.O_RDONLY, os.O_WRONLY):
            try:
                os.close(os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY))
                found.append(f"opened {path}")
            except OSError:
                pass
    if os.path.exists(told["shared"]):
        try:
            with open(told["shared"]) as file:
                file.read()
            found.append(f"read {told['shared']}")
        except OSError:
            pass
    for name in ("null", "zero", "full", "random", "urandom"):
        with open(f"/dev/{name}", "rb"):
            pass
    return found


def namespaces(told: dict[str, Any]) -> list[str]:
    """namespaces: new ones, and mounts"""
    import ctypes
    import os

    libc = ctypes.CDLL(None, use_errno=True)
    found = []
    kinds = {"user": 0x10000000, "mount": 0x20000, "network": 0x40000000, "pid": 0x20000000, "ipc": 0x8000000}
    for name, flag in kinds.items():
        pid = os.fork()
        if pid == 0:
            os._exit(0 if libc.unshare(flag) == 0 else 1)
        if os.waitpid(pid, 0)[1] == 0:
            found.append(f"made a {name} namespace")
    if os.uname().machine == "x86_64":
        pid = libc.syscall(56, 0x10000000 | 17, None, None, None, 0)  # clone with CLONE_NEWUSER
        if pid == 0:
            os._exit(0)
        if pid > 0:
            found.append("cloned into a user namespace")
    told_by_clone3 = (ctypes.c_uint64 * 11)(0x10000000, 0, 0, 0, 17)
    pid = libc.syscall(435, ctypes.byref(told_by_clone3), 88)
    if pid == 0:
        os._exit(0)
    if pid > 0 or ctypes.get_errno() != 38:
        found.append("called clone3")
    if libc.mount(b"none", os.getcwd().encode(), b"tmpfs", 0, None) == 0:
        found.append("mounted")
    return found


def kernel_calls(told: dict[str, Any]) -> list[str]:
    """kernel calls: ptrace, bpf, io_uring, userfaultfd, perf, memory of other processes, files by their inode"""
    import ctypes
    import os

    if os.uname().machine not in ("x86_64", "aarch64"):
        return []
    libc = ctypes.CDLL(None, use_errno=True)
    new = {"io_uring_setup": (425, 8, ctypes.byref((ctypes.c_uint32 * 30)())), "pidfd_getfd": (438, -1, 0, 0)}
    x86 = {"ptrace": 101, "bpf": 321, "userfaultfd": 323, "perf_event_open": 298, "process_vm_readv": 310}
    x86 |= {"open_by_handle_at": 304, "memfd_create": 319, "setns": 308, "keyctl": 250, "add_key": 248, "shmget": 29}
    arm = {"ptrace": 117, "bpf": 280, "userfaultfd": 282, "perf_event_open": 241, "process_vm_readv": 270}
    arm |= {"open_by_handle_at": 265, "memfd_create": 279, "setns": 268, "keyctl": 219, "add_key": 217, "shmget": 194}
    calls = new | {
        name: (number, -1, 0, 0) for name, number in (x86 if os.uname().machine == "x86_64" else arm).items()
    }
    found = []
    for name, arguments in calls.items():
        ctypes.set_errno(0)
        if libc.syscall(*arguments) >= 0 or ctypes.get_errno() != 38:  # ENOSYS, and nothing else
            found.append(name)
    return [f"may call {', '.join(found)}"] if found else []


def memory(told: dict[str, Any]) -> list[str]:
    """memory: more than the limit, for a worker and all that it starts together, shared memory included"""
    import mmap
    import os
    import resource
    import time

    found = []
    limit = told["memory"]
    for kind in (resource.RLIMIT_DATA, resource.RLIMIT_AS):
        try:
            resource.setrlimit(kind, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            found.append("raised a limit")
        except (ValueError, OSError):
            pass
    for what, flags in (("", mmap.MAP_PRIVATE), ("shared ", mmap.MAP_SHARED)):
        try:
            mmap.mmap(-1, limit + (64 << 20), flags | mmap.MAP_ANONYMOUS).close()
            found.append(f"mapped {limit >> 20} MiB of {what}memory")
        except (OSError, ValueError, MemoryError):
            pass
    if found:
        return found
    reader, writer = os.pipe()
    for _ in range(3):
        if os.fork() == 0:
            held = b"x" * (limit * 2 // 5)
            os.write(writer, held[:1])
            time.sleep(5)
            os._exit(0)
    filled = b""
    while len(filled) < 3:
        filled += os.read(reader, 3)
    time.sleep(1)
    return ["held more memory in three processes than one may have"]


def memory_that_stays(told: dict[str, Any]) -> list[str]:
    """memory that stays: files in shared memory; no longer being the first to go when the machine runs out"""
    import os

    found = []
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("0")
    except OSError:
        pass
    try:
        with open("/proc/self/oom_score_adj") as file:
            if int(file.read()) != 1000:
                found.append("took back that it is the first to go")
    except OSError:
        pass
    written, number = 0, 0
    try:
        while written < 256 << 20:
            with open(f"/dev/shm/graders-{number}", "wb") as file:
                written, number = written + file.write(bytes(16 << 20)), number + 1
        found.append(f"kept {written >> 20} MiB in /dev/shm")
    except OSError:
        pass
    for each in range(number + 1):
        try:
            os.remove(f"/dev/shm/graders-{each}")
        except OSError:
            pass
    return found


def processes(told: dict[str, Any]) -> list[str]:
    """processes: more than a few dozen at once"""
    import os
    import time

    made = 0
    for _ in range(600):
        try:
            if os.fork() == 0:
                time.sleep(20)
                os._exit(0)
            made += 1
        except OSError:
            break
    return [f"started {made} processes"] if made > 300 else []


def time_(told: dict[str, Any]) -> list[str]:
    """time: calls that do not end"""
    import signal
    import time

    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
    time.sleep(30)
    return ["went on after its time"]


def terminal(told: dict[str, Any]) -> list[str]:
    """terminal: writing to the one of who grades, typing into it"""
    import fcntl
    import glob
    import os

    found = []
    for path in {told["terminal"], "/dev/tty", "/dev/console", *glob.glob("/dev/pts/*")}:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError:
            continue
        found.append(f"opened {path}")
        if path == told["terminal"]:
            try:
                fcntl.ioctl(descriptor, 0x5412, b"#")
                found.append(f"typed into {path}")
            except OSError:
                pass
    return found


ALL = (
    read_solutions, read_seed, read_another_submission, write_outside, network, services, other_processes, keyring, devices,
    namespaces, kernel_calls, memory, memory_that_stays, processes, time_, terminal,
)  # fmt: skip
BESIDE_OTHERS = {network, keyring, namespaces, kernel_calls, memory, processes, time_}
PROMISED = {"namespaces": set(ALL), "landlock": set(ALL), "process": BESIDE_OTHERS}
NEED_THE_FILTER = {network, keyring, namespaces, kernel_calls, memory}
NEED_IT_BESIDE_OTHERS = {write_outside, services, other_processes, terminal}
