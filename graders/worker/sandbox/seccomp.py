"""The system calls that a worker may make: an allowlist, everything else answers "no such call" (ENOSYS).

So there is no ptrace, keyctl, bpf, io_uring, userfaultfd, mount, unshare, setns, no memory of other processes, and no call that
Linux has yet to get; `clone3`, whose flags a filter cannot see, answers ENOSYS too, and the C library then uses `clone`.
Sockets are of the kind AF_UNIX alone.

The filter is made by libseccomp (through pyseccomp) once, in the zygote; a worker hands the finished program to the kernel.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import struct
import tempfile
from typing import Any, ClassVar

import graders.worker.sandbox.kernel as kernel

_FILES = """
    read write close close_range creat stat fstat lstat newfstatat statx poll ppoll select pselect6 epoll_create
    epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 lseek pread64 pwrite64 readv writev preadv pwritev preadv2
    pwritev2 access faccessat faccessat2 dup dup2 dup3 pipe pipe2 flock fsync fdatasync sync_file_range ftruncate fallocate
    fadvise64 getdents getdents64 getcwd chdir fchdir rename renameat renameat2 mkdir mkdirat rmdir link linkat unlink unlinkat
    symlink symlinkat readlink readlinkat umask sendfile copy_file_range statfs fstatfs getxattr lgetxattr fgetxattr listxattr
    llistxattr flistxattr eventfd eventfd2 signalfd signalfd4 timerfd_create timerfd_settime timerfd_gettime"""
_RIGHTS = "chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat"
_TIMES = "utime utimes futimesat"
_MEMORY = """
    brk munmap mprotect mremap madvise mlock munlock mlock2 mincore msync membarrier get_mempolicy futex futex_waitv rseq
    set_robust_list"""
_PROCESSES = """
    getpid gettid getppid getpgrp getpgid getsid getuid geteuid getgid getegid getgroups getresuid getresgid capget fork vfork
    execve execveat exit exit_group wait4 waitid
    rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending
    rt_sigtimedwait rt_sigsuspend sigaltstack pause restart_syscall set_tid_address arch_prctl sched_yield sched_getaffinity
    sched_getparam sched_getscheduler sched_get_priority_max sched_get_priority_min sched_rr_get_interval getpriority getcpu
    getrlimit setrlimit getrusage times sysinfo uname getrandom"""
_CLOCKS = """
    clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time timer_create timer_settime timer_gettime
    timer_getoverrun timer_delete setitimer getitimer alarm"""
_SOCKETS = """
    listen accept accept4 getsockname getpeername sendto recvfrom sendmsg recvmsg sendmmsg recvmmsg shutdown getsockopt"""

_NEW_NAMESPACES, _CLONE_PARENT = 0x7E020000, 0x8000
_PRCTL = (2, 3, 15, 16, 21, 23, 39, 42, 0x53564D41)  # names, and questions: nothing that changes what is allowed
# isatty in two forms, size of a window, close on exec, blocking, waiting bytes: all that Python asks of a descriptor
_IOCTL = (0x5401, 0x802C542A, 0x5413, 0x5450, 0x5451, 0x5421, 0x541B)
# copies, flags, locks, sizes of pipes; not whom to signal when there is something to read (F_SETOWN)
_FCNTL = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1031, 1032, 1034)
# of a socket: address, kind, error, keep alive, linger, credentials, and the seconds to wait; the sizes of its buffers, which
# are memory of the kernel's that no process is charged for, stay as they are
_SOCKET_OPTION, _SOCKET_SIZE = (2, 3, 4, 9, 13, 16, 20, 21), (7, 8)
# memory that is shared and in no file stays, whole, as long as one page of it is in use, and is in nobody's account then
_MAP_FLAGS, _SHARED_MEMORY = 3, 0x21
_UNIX, _STREAM, _SEQPACKET, _KIND_OF_SOCKET = 1, 1, 5, 0xF
_WORKER = 0x6B1D5EED  # stands for the worker's number in a program that is made before there is one
_LOW = 0xFFFFFFFF
_FILTER, _OPTIMIZE, _BINARY_TREE = 2, 8, 2


def program(closed: bool = False, signals: bool = True, truncate: bool = True) -> bytes | None:
    """Return the filter as the kernel wants it, None where libseccomp is missing.

    closed: for a worker that shares user and disk with others while Landlock, which does not look at these calls, keeps it
    from them: changes of rights and owners do nothing, and sockets come only in connected pairs, since an address could be
    that of a program which does what the worker may not.
    signals: whether others than the worker itself may be signalled. truncate: whether files may be cut by their path.
    """
    try:
        import pyseccomp
    except (ImportError, RuntimeError):  # the second without libseccomp
        return None
    allow, error, arg = pyseccomp.ALLOW, pyseccomp.ERRNO, pyseccomp.Arg
    made = pyseccomp.SyscallFilter(error(errno.ENOSYS))
    with contextlib.suppress(OSError):  # since libseccomp 2.5
        made.set_attr(_OPTIMIZE, _BINARY_TREE)

    def rule(names: str, *conditions: Any, answer: int = allow) -> None:
        for name in names.split():
            if (
                pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name) >= 0
            ):  # else this kind of machine does not have it
                made.add_rule(answer, name, *conditions)

    def is_(number: int, value: int, mask: int = _LOW) -> Any:
        return arg(number, pyseccomp.MASKED_EQ, mask, value)

    rule(" ".join((_FILES, _MEMORY, _PROCESSES, _CLOCKS, _SOCKETS)))
    for name, flags in (
        ("open", 1),
        ("openat", 2),
    ):  # read-only and cut to nothing at once is what Landlock 2 lets through
        rule(name, is_(flags, 0, os.O_TRUNC))
        for writing in (os.O_WRONLY, os.O_RDWR):
            rule(name, is_(flags, os.O_TRUNC | writing, os.O_TRUNC | os.O_ACCMODE))
    rule("clone", is_(0, 0, _NEW_NAMESPACES | _CLONE_PARENT))
    rule("prlimit64 sched_setaffinity", is_(0, 0))
    rule("setpriority", is_(0, 0), is_(1, 0))
    for name, number, values in (
        ("prctl", 0, _PRCTL),
        ("ioctl", 1, _IOCTL),
        ("fcntl", 1, _FCNTL),
        ("setsockopt", 2, _SOCKET_OPTION),
    ):
        for value in values:
            rule(name, is_(number, value))
    rule("prctl", is_(0, kernel.PDEATHSIG), answer=error(0))  # torch.multiprocessing sets it; ours stays
    for allowed in (0, 1, 0x20):
        rule("mmap", is_(_MAP_FLAGS, allowed, _SHARED_MEMORY))
    rule("mmap", is_(_MAP_FLAGS, _SHARED_MEMORY, _SHARED_MEMORY), answer=error(errno.ENOMEM))
    for size in _SOCKET_SIZE:
        rule("setsockopt", is_(2, size), answer=error(0))
    rule("setsid setpgid", answer=error(errno.EPERM))  # a group of its own would not end with the worker
    if signals:
        rule("kill tkill tgkill")
    else:
        rule("kill tgkill", is_(0, _WORKER))
        rule("kill", is_(0, 0))
    if truncate:
        rule("truncate")
    if closed:
        for kind in (_STREAM, _SEQPACKET):  # a pair of datagram sockets could send to any address
            rule("socketpair", is_(0, _UNIX), is_(1, kind, _KIND_OF_SOCKET))
        rule("socket connect bind", answer=error(errno.EACCES))
        rule(_RIGHTS, answer=error(0))
        rule("utimensat", arg(2, pyseccomp.NE, 0), answer=error(0))
        rule("utimensat", arg(2, pyseccomp.EQ, 0), answer=error(errno.EPERM))  # else touch() takes it for done
        rule(_TIMES, answer=error(errno.EPERM))
    else:
        rule("socket socketpair", arg(0, pyseccomp.EQ, _UNIX))
        rule("socket", arg(0, pyseccomp.NE, _UNIX), answer=error(errno.EACCES))
        rule(f"connect bind utimensat {_RIGHTS} {_TIMES}")
    with tempfile.TemporaryFile() as file:
        made.export_bpf(file)
        file.seek(0)
        return file.read()


class _Program(ctypes.Structure):
    _fields_: ClassVar = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def apply(program: bytes) -> None:
    """In the worker: from here on only the filter's calls are answered, for all that it starts too. OSError if refused."""
    own = program.replace(struct.pack("<I", _WORKER), struct.pack("<I", os.getpid()))
    filled = _Program(len(own) // 8, own)
    kernel.prctl(kernel.SECCOMP, _FILTER, ctypes.addressof(filled))
