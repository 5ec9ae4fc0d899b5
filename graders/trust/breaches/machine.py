"""Ways to the kernel, and to more of the machine than a worker may have."""
# ruff: noqa: SIM105
# mypy: ignore-errors

from __future__ import annotations

from typing import Any


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


def memory_untouched(told: dict[str, Any]) -> list[str]:
    """memory nobody touches: shared and in no file, of which a page is kept"""
    import ctypes
    import mmap
    import os

    libc, shared, part = ctypes.CDLL(None), mmap.MAP_SHARED, told["memory"] // 4
    libc.mmap.restype, failed = ctypes.c_void_p, ctypes.c_void_p(-1).value
    number, size = ctypes.c_int, ctypes.c_size_t
    libc.mmap.argtypes = [ctypes.c_void_p, size, number, number, number, ctypes.c_long]
    libc.munmap.argtypes, libc.memset.argtypes = [ctypes.c_void_p, size], [ctypes.c_void_p, number, size]
    ways = {"memory": (-1, shared | mmap.MAP_ANONYMOUS)}
    try:
        ways["/dev/zero"] = (os.open("/dev/zero", os.O_RDWR), shared)
    except OSError:
        pass
    found = []
    for name, (descriptor, flags) in ways.items():
        kept = 0
        for _ in range(5):
            place = libc.mmap(None, part, mmap.PROT_READ | mmap.PROT_WRITE, flags, descriptor, 0)
            if place != failed:
                libc.memset(place, 1, part)
                libc.munmap(place + mmap.PAGESIZE, part - mmap.PAGESIZE)
                kept += part
        found += [f"kept {kept >> 20} MiB of {name}"] if kept > told["memory"] else []
    return found


def memory_of_the_kernel(told: dict[str, Any]) -> list[str]:
    """memory of the kernel: what is on its way through sockets, and in names of files"""
    import os
    import socket
    import time

    files = os.statvfs(".").f_files
    if files > 100_000 and os.path.ismount("."):
        return [f"may make {files} empty files"]
    reader, writer = os.pipe()
    children = 24
    for _ in range(children):
        if os.fork() == 0:
            held, sent = [], 0
            try:
                while True:
                    for end in socket.socketpair():
                        held.append(end)
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
                        end.setblocking(False)
                        try:
                            while True:
                                sent += end.send(bytes(1 << 16))
                        except BlockingIOError:
                            pass
            except OSError:  # so many open files and no more
                os.write(writer, sent.to_bytes(8, "little"))
            time.sleep(5)
            os._exit(0)
    told_of = b""
    while len(told_of) < 8 * children:
        told_of += os.read(reader, 8)
    time.sleep(1)
    sent = sum(int.from_bytes(told_of[at : at + 8], "little") for at in range(0, len(told_of), 8))
    return [f"left {sent >> 20} MiB on their way"] if sent > told["memory"] else []


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
