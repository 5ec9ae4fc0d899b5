"""Attacks on whoever reads answers: each within the limits of one answer, and at them; and answers of odd forms."""
# mypy: ignore-errors

from __future__ import annotations

from typing import Any

from graders.trust.attacks import attack


@attack("everywhere", "as many parts as an answer may have, in every call of every exercise")
def fills_every_answer_with_parts(*args: Any, **kwargs: Any) -> Any:
    import struct
    import sys

    tree = ('{"k":"list","of":[' + ",".join(['{"k":"list","of":[]}'] * 45_000) + "]}").encode()
    sys.modules["graders.worker.worker"]._encode = lambda value: struct.pack("<I", len(tree)) + tree
    return 0


@attack("everywhere", "as many bytes of one tensor as an answer may have, in every call of every exercise")
def fills_every_answer_with_bytes(*args: Any, **kwargs: Any) -> Any:
    import torch

    return torch.zeros(5_900_000, dtype=torch.uint8)


@attack("everywhere", "as much text as an answer may have, with characters that turn the direction of writing")
def fills_every_answer_with_text(*args: Any, **kwargs: Any) -> Any:
    return "\u202e\u2066\x1b[2J" * 20_000


@attack("in_one", "2,000 tensors of one element each, in every call")
def answers_with_many_tensors(*args: Any, **kwargs: Any) -> Any:
    import torch

    return [torch.zeros(1) for _ in range(1_990)]


@attack(
    "everywhere",
    "tensors without elements whose other dimensions are huge, so that whoever reduces them takes gigabytes",
)
def answers_with_huge_empty_shapes(*args: Any, **kwargs: Any) -> Any:
    import torch

    return torch.empty(0, 1 << 30) if len(args) % 2 else (torch.empty(1 << 30, 0), torch.empty(0, 1 << 29))


@attack("everywhere", "tensors on the meta device that say they have a trillion elements")
def answers_without_memory(*args: Any, **kwargs: Any) -> Any:
    import torch

    return torch.empty(1 << 20, 1 << 20, device="meta")


@attack("everywhere", "numbers as long as they may be, and the largest ones")
def answers_with_huge_numbers(*args: Any, **kwargs: Any) -> Any:
    return (10**4299, -(10**12)) if len(args) % 2 else 10**4299


@attack("in_one", "lists that hold one another, as deep as they may")
def answers_in_depth(*args: Any, **kwargs: Any) -> Any:
    value: Any = 1
    for _ in range(38):
        value = [value, value] if len(repr(value)) < 20_000 else [value]
    return value


@attack(
    "everywhere", "JSON with keys that stand twice, sizes that are NaN, infinite, true or negative, and half characters"
)
def answers_with_odd_json(*args: Any, **kwargs: Any) -> Any:
    import struct
    import sys

    trees = [
        b'{"k":"tensor","dtype":"float32","size":[NaN],"data":"0"}',
        b'{"k":"tensor","dtype":"float32","size":[Infinity],"meta":true}',
        b'{"k":"tensor","dtype":"float32","size":[true,-1,1e400],"meta":true}',
        b'{"k":"tensor","k":"recipe","name":"exercises.kit.models:tiny_t5","args":[],"kwargs":{}}',
        b'"\xff\xfe\xed\xa0\x80"',
        '{"k":"list","of":[1,2]}'.encode("utf-16"),
        b'{"k":"dict","of":[[{"k":"list","of":[]},1]],"exact":[]}',
        b'{"k":"foreign","type":"\\u202e\\u0000\\ud800"}',
        b'{"k":"dtype","name":"__class__"}',
        b'{"k":"again","id":0}',
        b'{"k":"bytes","hex":"0"}',
    ]
    calls = []

    def encode(value: Any) -> bytes:
        calls.append(value)
        tree = trees[len(calls) % len(trees)]
        return struct.pack("<I", len(tree)) + tree

    sys.modules["graders.worker.worker"]._encode = encode
    return 0


@attack(
    "everywhere", "safetensors blocks whose offsets overlap, whose header is longer than they are, or says things twice"
)
def answers_with_odd_blocks(*args: Any, **kwargs: Any) -> Any:
    import struct
    import sys

    tree = b'{"k":"tensor","dtype":"float32","size":[2],"data":"0"}'
    one = b'{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'
    headers = [
        b'{"0":%s,"1":%s}' % (one, one),
        b'{"0":%s,"0":%s}' % (one, one),
        b'{"0":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}',
        b'{"0":{"dtype":"F32","shape":[2305843009213693953],"data_offsets":[0,4]}}',
        b'{"__metadata__":{"a":"b"},"0":%s}' % one,
        b'{"0":%s}' % one + b" " * 100_000,
    ]
    bodies = [struct.pack("<Q", len(header)) + header + b"\0" * 8 for header in headers]
    bodies += [struct.pack("<Q", (1 << 63) + 5) + headers[0], b"\0" * 7, struct.pack("<Q", 0)]
    calls = []

    def encode(value: Any) -> bytes:
        calls.append(value)
        return struct.pack("<I", len(tree)) + tree + bodies[len(calls) % len(bodies)]

    sys.modules["graders.worker.worker"]._encode = encode
    return 0


@attack("everywhere", "models that name a parameter twice, say that they take no bytes, and have names that are paths")
def answers_with_odd_models(*args: Any, **kwargs: Any) -> Any:
    import json
    import struct
    import sys

    value = {"k": "tensor", "dtype": "float32", "size": [1], "meta": True}
    part = {"value": value, "storage": 0, "bytes": 0}
    names = ["weight", "weight", "../../x", "", ".", "__class__", "a" * 5000, "\u202e\n"]
    told = [{"name": name, "object": 0, "persistent": True, "of": part} for name in names]
    modules = [[name, "torch.nn.modules.linear.Linear", False] for name in names]
    tree = json.dumps(
        {"k": "model", "type": "Linear", "modules": modules, "parameters": told, "buffers": told}
    ).encode()
    sys.modules["graders.worker.worker"]._encode = lambda value: struct.pack("<I", len(tree)) + tree
    return 0


@attack("everywhere", "NaN with other payloads, infinities, numbers that are not normal and minus zero in every tensor")
def answers_with_payloads(*args: Any, **kwargs: Any) -> Any:
    import torch

    bits = torch.tensor([0x7FC0BEEF, 0x7F800001, -1, 0x7F800000, 1, -(1 << 31)], dtype=torch.int64)
    return bits.to(torch.int32).view(torch.float32)


@attack("everywhere", "quantized tensors and packed codes that stand for another number of elements")
def answers_with_odd_quantized_tensors(*args: Any, **kwargs: Any) -> Any:
    import json
    import struct
    import sys

    def part(size: list[int]) -> dict[str, Any]:
        return {"value": {"k": "tensor", "dtype": "int8", "size": size, "meta": True}, "storage": 0, "bytes": 0}

    meta = {"qtype": "qint8", "axis": "0", "size": "[4, 4]", "stride": "(__import__('os').system('touch attacked'), 1)"}
    node = {
        "k": "quantized", "type": "WeightQBytesTensor", "qtype": "qint8", "axis": 0, "dtype": "float32", "size": [4, 4],
        "inner": {"_data": part([4, 4]), "_scale": part([1 << 20, 1 << 20])}, "meta": meta,
    }  # fmt: skip
    tree = json.dumps(node).encode()
    sys.modules["graders.worker.worker"]._encode = lambda value: struct.pack("<I", len(tree)) + tree
    return 0


@attack(
    "everywhere",
    "notes of another form beside every answer, longer than the answer, or none where there should be some",
)
def forges_notes(*args: Any, **kwargs: Any) -> Any:
    import struct
    import sys

    worker = sys.modules["graders.worker.worker"]
    forged = [b"~\xff\xff\xff\xff[]", b"~", b"~\0\0\0\0=", b"~" + struct.pack("<I", 4) + b"[[]]=", b""]
    calls = []

    def attached(reply: bytes, before: Any) -> bytes:
        calls.append(reply)
        return forged[len(calls) % len(forged)] + reply

    worker._with_notes = attached
    return 0


@attack("everywhere", "that it is not defined, under a name that is a message of its own")
def says_that_it_is_not_there(*args: Any, **kwargs: Any) -> Any:
    import sys

    worker = sys.modules["graders.worker.worker"]
    worker._with_notes = lambda reply, before: b"-\xff\xe2\x80\xae\n  rule   passed" + b"x" * 100_000
    return 0
