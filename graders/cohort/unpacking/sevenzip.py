"""A 7z archive as a tar archive: unpacked by py7zr in a process of its own, whose memory, time and output have limits.

What it takes to unpack one is not known before (a dictionary may have 4 GiB, a header may be packed itself), so that the
process which reads what was handed in does not do it.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import IO

MEMORY = 2 << 30  # address space, with that of the interpreter


def as_tar(source: Path | io.BytesIO, most: int, largest: int, seconds: int) -> IO[bytes]:
    """Return a file with the members as an uncompressed tar archive; of each the first `largest` bytes and one more.

    seconds: of the processor that it may take, and twice as many by the clock. Raises ValueError when py7zr cannot read it, or
    when it takes more than its limits or more than `most` bytes.
    """
    made = tempfile.TemporaryFile()  # noqa: SIM115 (the caller reads from it)
    command = [sys.executable, "-I", __file__, str(most), str(largest), str(seconds)]
    try:
        with _on_disk(source) as packed:
            ended = subprocess.run(command, stdin=packed, stdout=made, stderr=subprocess.PIPE, timeout=2 * seconds)
    except subprocess.TimeoutExpired:
        raise ValueError(f"it takes more than {2 * seconds} seconds to unpack") from None
    if ended.returncode:
        told = ended.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise ValueError(told or f"the process that unpacked it ended with {ended.returncode}")
    made.seek(0)
    return made


def _on_disk(source: Path | io.BytesIO) -> IO[bytes]:
    if isinstance(source, Path):
        return source.open("rb")
    packed = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it)
    packed.write(source.getbuffer())
    packed.seek(0)
    return packed


def _limit(seconds: int) -> None:
    """Limit this process, where the system can."""
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))


def _convert(most: int, largest: int) -> None:
    import py7zr
    from py7zr.io import Py7zIO, WriterFactory

    left = most
    with (
        py7zr.SevenZipFile(sys.stdin.buffer) as archive,
        tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        infos = {f"/{info.filename}": info for info in archive.list()}

        class Member(Py7zIO):
            def __init__(self, name: str) -> None:
                self.name, self.data = name, io.BytesIO()

            def write(self, data: bytes | bytearray) -> int:
                nonlocal left
                left -= len(data)
                if left < 0:
                    raise ValueError(f"it is larger than {most >> 20} MiB unpacked")
                self.data.write(data[: max(0, largest + 1 - self.data.tell())])
                return len(data)

            def close(self) -> None:
                _add(tar, self.name, self.data.getvalue(), infos.get(self.name))

            def read(self, size: int | None = None) -> bytes:
                return b""

            def seek(self, offset: int, whence: int = 0) -> int:
                return 0

            def flush(self) -> None:
                pass

            def size(self) -> int:
                return self.data.tell()

        class Members(WriterFactory):
            def create(self, filename: str) -> Py7zIO:
                return Member(filename)

        archive.extractall(path="/", factory=Members())
        for info in archive.list():
            if info.is_directory:
                folder = tarfile.TarInfo(info.filename)
                folder.type = tarfile.DIRTYPE
                tar.addfile(folder)


def _add(tar: tarfile.TarFile, name: str, data: bytes, info: object) -> None:
    member = tarfile.TarInfo(name.lstrip("/"))
    created = getattr(info, "creationtime", None)  # py7zr's name for the time of the last change
    member.size, member.mtime = len(data), created.timestamp() if created else 0
    if getattr(info, "is_symlink", False):
        member.type, member.size, data = tarfile.SYMTYPE, 0, b""
    tar.addfile(member, io.BytesIO(data))


if __name__ == "__main__":
    _limit(int(sys.argv[3]))
    try:
        _convert(int(sys.argv[1]), int(sys.argv[2]))
    except ImportError:
        sys.exit("py7zr is missing; install the extra [graders]")
    except MemoryError:
        sys.exit(f"it takes more than {MEMORY >> 20} MiB to unpack")
    except Exception as error:
        if type(error).__name__ == "PasswordRequired":
            sys.exit("it is encrypted; hand it in without a password")
        sys.exit(" ".join(str(error).split()) or type(error).__name__)
