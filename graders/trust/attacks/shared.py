"""What the processes of one user share in the kernel, taken up by one of them; where workers have a user each, by its own."""
# mypy: ignore-errors

from __future__ import annotations

from typing import Any

from graders.trust.attacks import attack


@attack("in_one", "as many descriptors on their way through sockets as a user's processes may have")
def sends_descriptors(*args: Any, **kwargs: Any) -> Any:
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


@attack("in_one", "shared memory that was filled by a process which ended, and is only kept")
def keeps_untouched_memory(*args: Any, **kwargs: Any) -> Any:
    import mmap
    import os
    import time

    for _ in range(4):
        if os.fork():
            continue
        held = []
        for _ in range(3):
            held.append(mmap.mmap(-1, 1 << 29))
            filler = os.fork()
            if filler == 0:
                for at in range(0, 1 << 29, mmap.PAGESIZE):
                    held[-1][at] = 1
                os._exit(0)
            os.waitpid(filler, 0)
        time.sleep(2)
        os._exit(0)
    time.sleep(2)
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
