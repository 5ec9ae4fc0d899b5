"""Attacks on whoever reads what workers send: forged frames, answers that are dear to read, data that names what to do."""
# mypy: ignore-errors

from __future__ import annotations

from typing import Any

from graders.trust.attacks import attack

# Frames


@attack("in_one", "frames that describe exceptions in another form")
def describes_in_another_form(*args: Any, **kwargs: Any) -> Any:
    import sys

    worker = sys.modules["graders.worker.worker"]
    worker._dumps = lambda told: '{"kind":1,"bases":5,"text":[],"line":"x","function":null,"source":{},"in_file":2}'
    raise ValueError


@attack("at_import", "a forged frame that says how loading ended, of numbers where lists are due")
def forges_the_end_of_loading(*args: Any, **kwargs: Any) -> Any:
    import sys

    sys.modules["graders.worker.worker"]._dumps = lambda errors: '{"1": {"bases": 5}, "2": {"bases": 5}, "1": []}'


@attack("in_one", "a frame that says that four gigabytes follow")
def announces_gigabytes(*args: Any, **kwargs: Any) -> Any:
    import os
    import time

    for descriptor in range(3, 64):
        try:
            os.write(descriptor, b"\xff\xff\xff\xffr=")
        except OSError:
            continue
    time.sleep(600)


# Answers


@attack("in_one", "80 sets of integers of one hash")
def answers_with_colliding_sets(*args: Any, **kwargs: Any) -> Any:
    import struct
    import sys

    one = '{"k":"set","of":[' + ",".join(str((2**61 - 1) * number) for number in range(1, 2000)) + "]}"
    tree = ('{"k":"list","of":[' + ",".join([one] * 80) + "]}").encode()
    sys.modules["graders.worker.worker"]._encode = lambda value: struct.pack("<I", len(tree)) + tree
    return 0


@attack("in_one", "100,000 empty tensors in one header")
def answers_with_empty_tensors(*args: Any, **kwargs: Any) -> Any:
    import json
    import struct
    import sys

    tensor = '{"k":"tensor","dtype":"float32","size":[0],"data":"%d"}'
    tree = ('{"k":"list","of":[' + ",".join(tensor % number for number in range(100_000)) + "]}").encode()
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    header = json.dumps({str(number): empty for number in range(100_000)}).encode()
    answer = struct.pack("<I", len(tree)) + tree + struct.pack("<Q", len(header)) + header
    sys.modules["graders.worker.worker"]._encode = lambda value: answer
    return 0


@attack("in_one", "a number of half a million digits, and lists within lists")
def answers_with_a_long_number(*args: Any, **kwargs: Any) -> Any:
    import struct
    import sys

    trees = [b"1" * 500_000, b"[" * 500_000, b'{"k":"list","of":[' * 30_000]
    answers = [struct.pack("<I", len(tree)) + tree for tree in trees]
    sys.modules["graders.worker.worker"]._encode = lambda value: answers[len(repr(value)) % 3]
    return args


@attack(
    "in_one", "40 KB of codes and scales that stand for 400 MB, and a quantized tensor whose shape is a long expression"
)
def answers_with_a_spread_scale(*args: Any, **kwargs: Any) -> Any:
    import json
    import struct
    import sys

    def part(key: str, dtype: str, size: list[int]) -> dict:
        return {"value": {"k": "tensor", "dtype": dtype, "size": size, "data": key}, "storage": 0, "bytes": 0}

    size = [1, 10_000]
    meta = {"qtype": "qint8", "axis": "0", "size": str(size), "stride": "[10000, 1]", "activation_qtype": "none"}
    node = {
        "k": "quantized",
        "type": "WeightQBytesTensor",
        "qtype": "qint8",
        "axis": 0,
        "dtype": "float32",
        "size": size,
    }
    node |= {"inner": {"_data": part("0", "int8", size), "_scale": part("1", "float32", [10_000, 1])}, "meta": meta}
    header = {
        "0": {"dtype": "I8", "shape": size, "data_offsets": [0, 10_000]},
        "1": {"dtype": "F32", "shape": [10_000, 1], "data_offsets": [10_000, 50_000]},
    }
    answers = []
    for stride in ("[10000, 1]", "[" + "-" * 200_000 + "1]"):
        meta["stride"] = stride
        tree, head = json.dumps(node).encode(), json.dumps(header).encode()
        answers.append(struct.pack("<I", len(tree)) + tree + struct.pack("<Q", len(head)) + head + bytes(50_000))
    sys.modules["graders.worker.worker"]._encode = lambda value: answers[len(repr(value)) % 2]
    return args


@attack("everywhere", "every probe of the kit answers with files whose names lead out of their folder")
def answers_with_files_elsewhere(*args: Any, **kwargs: Any) -> Any:
    import sys
    import tempfile

    name = tempfile.gettempdir() + "/attacked"
    files = {name: b"absolute", "../" * 12 + name.lstrip("/"): b"relative", "attacked\0": b"", "": b""}

    def elsewhere(*args: Any, **kwargs: Any) -> Any:
        return files, []

    for path, module in list(sys.modules.items()):
        if path.startswith("exercises.kit.probes"):
            for own in [key for key, value in vars(module).items() if callable(value) and value.__module__ == path]:
                elsewhere.__module__ = path
                setattr(module, own, elsewhere)
    return files


# Time and processes


@attack("in_one", "8 % of the time it computes, and sleeps the rest, as if it were kept waiting")
def sleeps_on_the_clock(*args: Any, **kwargs: Any) -> Any:
    import time

    while True:
        end = time.process_time() + 0.008
        while time.process_time() < end:
            pass
        time.sleep(0.09)


@attack("in_one", "children that take the processors, so that it is kept waiting by itself")
def keeps_itself_waiting(*args: Any, **kwargs: Any) -> Any:
    import os

    for _ in range(8):
        if os.fork() == 0:
            break
    while True:
        pass


@attack("in_one", "it asks its parent to trace it, and stops")
def stops_for_its_tracer(*args: Any, **kwargs: Any) -> Any:
    import ctypes
    import os
    import signal

    ctypes.CDLL(None).ptrace(0, 0, 0, 0)
    os.kill(os.getpid(), signal.SIGSTOP)
    os._exit(0)
