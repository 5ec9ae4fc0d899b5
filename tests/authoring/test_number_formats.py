"""What lesson 6 says of formats and of other programs is so: facts of torch, the tiny files, and two libraries as oracles."""

import math

import pytest
import torch

from exercises.kit import checkpoints, format_pictures
from graders.authoring import tiny_formats
from solutions import l6_number_formats as lesson

POWERS = 2.0 ** torch.arange(-126, 128)


def wide_normals(rows, columns, seed):
    """Normal numbers whose rows differ by many powers of ten."""
    generator = torch.Generator().manual_seed(seed)
    sizes = 10.0 ** (16 * torch.rand(rows, 1, generator=generator) - 8)
    return torch.randn(rows, columns, generator=generator) * sizes


# Facts of torch


def test_where_float8_casts_end():
    saturated = torch.tensor([464.0, 480.0, 1e9, math.inf]).to(torch.float8_e4m3fn)
    assert saturated.tolist() == [448.0] * 4
    assert torch.tensor([61439.0, 61440.0]).to(torch.float8_e5m2).tolist() == [57344.0, math.inf]


def test_float32_logarithms_are_wrong_beside_powers_of_two():
    below = torch.nextafter(POWERS, torch.tensor(0.0))
    above = torch.nextafter(POWERS, torch.tensor(math.inf))
    exponents = torch.arange(-126, 128)
    right_below = below.log2().floor() == exponents - 1
    assert POWERS[right_below].tolist() == [0.5, 1.0, 2.0, 4.0]
    assert int((~right_below).sum()) == 250
    assert int((above.log2().ceil() != exponents + 1).sum()) == 246


def test_torch_has_no_cast_to_four_bits():
    with pytest.raises(NotImplementedError):
        torch.ones(2).to(torch.float4_e2m1fn_x2)


# Figures of the catalogue


def test_codebook_is_the_published_one():
    assert (lesson.nf4_codebook() - torch.tensor(format_pictures.NF4)).abs().max() < 1.2e-7


def test_stochastic_rounding_is_right_in_the_mean():
    x = torch.full((65536,), -3.1415927)
    rounded = lesson.stochastic_round(x, torch.arange(65536, dtype=torch.int32))
    assert rounded.double().mean().item() == x[0].item()


def test_mx_ends():
    landed = {
        ("e2m1", 5.9): (0, 6), ("e2m1", 7.0): (0, 6), ("e2m1", 7.9): (0, 6), ("e2m1", 8.0): (1, 4),
        ("e2m1", 3.99): (-1, 6), ("e4m3", 500.0): (0, 448), ("e4m3", 512.0): (1, 256),
        ("e5m2", 61440.0): (0, 57344), ("e5m2", 65536.0): (1, 32768),
    }  # fmt: skip
    for (element, amax), (exponent, stored) in landed.items():
        exponents, elements = lesson.mx_quantize(torch.full((32,), amax), element)
        assert (exponents.item() - 127, elements[0].item()) == (exponent, stored)
    above_six = torch.nextafter(torch.tensor(6.0), torch.tensor(7.0)).item()
    for amax, (exponent, stored) in {7.0: (1, 4), 6.0: (0, 6), above_six: (1, 3), 448.0: (7, 4)}.items():
        exponents, elements = lesson.mx_quantize_no_clip(torch.full((32,), amax))
        assert (exponents.item() - 127, elements[0].item()) == (exponent, stored)


def test_other_figures():
    elements, scales, g = lesson.nvfp4_quantize(torch.tensor([6.0] + [0.0] * 15 + [2688.0] + [0.0] * 15))
    assert (g.item(), scales.tolist(), elements[[0, 16]].tolist()) == (1.0, [1.0, 448.0], [6.0, 6.0])
    elements, scale = lesson.four_over_six(torch.tensor([10.0, 20.0, 30.0, 40.0]))
    assert (elements.tolist(), scale) == ([1.0, 2.0, 3.0, 4.0], 10.0)
    codes, gamma = lesson.ternary_quantize(torch.tensor([1.0, -2.0, 0.4, 0.0, 0.9]))
    assert (codes.tolist(), round(gamma, 6)) == ([1, -1, 0, 0, 1], 0.86)
    bits = {"q8_0": 8.5, "q4_0": 4.5, "q4_k": 4.5, "mxfp8": 8.25, "mxfp4": 4.25, "nvfp4": 4.5, "nf4": 4.5}
    bits |= {"nf4-double": 4.126953125, "int4-group32": 4.5}
    assert {name: lesson.bits_per_weight(name) for name in bits} == bits


# The tiny files


def test_mxfp4_file_holds_the_weights():
    name, blocks, scales = checkpoints.mxfp4_tensors()
    source = checkpoints.t5_weights("encoder.block.0.layer.1.DenseReluDense.wi_0.weight")
    restored = lesson.mx_dequantize(*lesson.mx_quantize(source))
    assert name == "block.0.mlp.mlp1_weight"
    assert torch.equal(lesson.unpack_mxfp4(blocks, scales)[0].float(), restored)


def test_gguf_file_holds_the_weights():
    kinds = [(kind, shape) for kind, shape, _ in checkpoints.gguf_tensors().values()]
    assert kinds == [("Q8_0", (64, 256)), ("Q4_K", (64, 256))]
    source = checkpoints.t5_weights(checkpoints.Q8_0_SOURCE)
    assert torch.equal(lesson.pack_q8_0(source.flatten()), checkpoints.gguf_blocks("Q8_0"))
    source = checkpoints.t5_weights("encoder.block.1.layer.1.DenseReluDense.wo.weight")
    restored = lesson.unpack_q4_k(checkpoints.gguf_blocks("Q4_K"))
    assert (restored - source).norm() < 0.08 * source.norm()


def test_environment_names_other_files(monkeypatch, tmp_path):
    folder = tmp_path / "with a blank"
    folder.mkdir()
    (folder / "a.safetensors").write_bytes(checkpoints.TINY_MXFP4.read_bytes())
    (folder / "other.gguf").write_bytes(checkpoints.TINY_GGUF.read_bytes())
    monkeypatch.setenv("GPT_OSS_CHECKPOINT", str(folder))
    monkeypatch.setenv("GGUF_FILE", str(folder / "other.gguf"))
    assert checkpoints.mxfp4_tensors()[1].shape == (1, 256, 2, 16)
    assert checkpoints.gguf_blocks("Q4_K").shape == (64, 144)
    monkeypatch.setenv("GPT_OSS_CHECKPOINT", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="GPT_OSS_CHECKPOINT"):
        checkpoints.mxfp4_tensors()


def test_what_is_no_gguf_file(tmp_path):
    other = tmp_path / "other.gguf"
    other.write_bytes(b"GGML" + bytes(100))
    with pytest.raises(ValueError, match="no GGUF file"):
        checkpoints.gguf_tensors(other)
    with pytest.raises(KeyError, match="Q6_K"):
        checkpoints.gguf_blocks("Q6_K")


# Oracles: libraries of the extra [dev]


@pytest.mark.full
def test_tiny_files_are_what_the_script_writes(tmp_path):
    tiny_formats.write(tmp_path)
    for path in (checkpoints.TINY_MXFP4, checkpoints.TINY_GGUF):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


@pytest.mark.full
@pytest.mark.parametrize("seed", range(5))
def test_q8_0_as_gguf(seed):
    import gguf

    row = wide_normals(400, 32, seed)
    row[::7] = torch.round(row[::7] / row[::7].abs().amax(1, keepdim=True) * 254) / 2  # ties
    row[::7, 0] = 127.0
    row = row.clamp(-7.9e6, 7.9e6).flatten()
    theirs = gguf.quants.quantize(row.numpy(), gguf.GGMLQuantizationType.Q8_0)
    assert torch.equal(lesson.pack_q8_0(row).flatten(), torch.from_numpy(theirs).flatten())


@pytest.mark.full
@pytest.mark.parametrize("seed", range(5))
def test_q4_k_as_gguf(seed):
    import gguf

    blocks = torch.randint(256, (200, 144), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    blocks[:, [1, 3]] &= 0xBF
    theirs = gguf.quants.dequantize(blocks.numpy(), gguf.GGMLQuantizationType.Q4_K)
    assert torch.equal(lesson.unpack_q4_k(blocks), torch.from_numpy(theirs))


@pytest.mark.full
def test_gguf_takes_the_smaller_magnitude_at_ties():
    import gguf

    ties = [0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0]
    block = torch.tensor([6.0, *ties] + [0.0] * 24)
    packed = gguf.quants.quantize(block.numpy()[None], gguf.GGMLQuantizationType.MXFP4)
    theirs = gguf.quants.dequantize(packed, gguf.GGMLQuantizationType.MXFP4)[0, 1:8]
    assert theirs.tolist() == [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0]
    assert lesson.round_to_e2m1(torch.tensor(ties)).tolist() == [0.0, 1.0, 1.0, 2.0, 2.0, 4.0, 4.0]


@pytest.mark.full
@pytest.mark.parametrize("seed", range(3))
def test_e2m1_as_torchao(seed):
    from torchao.prototype.mx_formats.kernels import f4_unpacked_to_f32, f32_to_f4_unpacked

    x = torch.cat([wide_normals(200, 16, seed).flatten(), torch.arange(-28.0, 29.0) / 4]).clamp(-6, 6)
    theirs = f32_to_f4_unpacked(x)
    mine = lesson.round_to_e2m1(x)
    assert torch.equal(mine, f4_unpacked_to_f32(theirs))
    assert torch.equal(lesson.encode_e2m1(mine)[mine != 0], theirs[mine != 0])
    assert torch.equal(lesson.decode_e2m1(torch.arange(16).byte()), f4_unpacked_to_f32(torch.arange(16).byte()))


@pytest.mark.full
@pytest.mark.parametrize("element", ["e2m1", "e4m3", "e5m2"])
def test_mx_as_torchao(element):
    from torchao.prototype.mx_formats.kernels import f4_unpacked_to_f32, unpack_uint4
    from torchao.prototype.mx_formats.mx_tensor import to_mx

    dtype = {"e2m1": torch.float4_e2m1fn_x2, "e4m3": torch.float8_e4m3fn, "e5m2": torch.float8_e5m2}[element]
    x = torch.cat([wide_normals(300, 64, 1), lesson.E2M1[7] * POWERS[20:-20, None] * wide_normals(1, 64, 2).sign()])
    exponents, elements = lesson.mx_quantize(x, element)
    theirs = to_mx(x, dtype, 32)
    their_elements = f4_unpacked_to_f32(unpack_uint4(theirs[1].view(torch.uint8))) if element == "e2m1" else theirs[1]
    assert torch.equal(exponents, theirs[0].view(torch.uint8).reshape(exponents.shape))
    assert torch.equal(elements, their_elements.float().reshape(elements.shape))


@pytest.mark.full
def test_nvfp4_as_torchao():
    from torchao.prototype.mx_formats.kernels import f4_unpacked_to_f32, unpack_uint4
    from torchao.prototype.mx_formats.nvfp4_tensor import nvfp4_quantize, per_tensor_amax_to_scale

    x = torch.randn(300, 64, generator=torch.Generator().manual_seed(3)) * 2.0 ** torch.randint(-9, 9, (300, 1))
    elements, scales, g = lesson.nvfp4_quantize(x)
    assert torch.equal(g, per_tensor_amax_to_scale(x.abs().max()))
    their_scales, packed = nvfp4_quantize(x, per_tensor_scale=g)
    theirs = f4_unpacked_to_f32(unpack_uint4(packed)).reshape(x.shape)
    assert torch.equal(scales.view(torch.uint8), their_scales.view(torch.uint8).reshape(scales.shape))
    quotients = (x.unflatten(-1, (-1, 16)).double() / (g.double() * scales.double()).unsqueeze(-1)).flatten(-2)
    below, above = (lesson.round_to_e2m1((quotients * factor).float()) for factor in (1 - 2**-20, 1 + 2**-20))
    assert torch.equal(elements[below == above], theirs[below == above])  # they multiply by an inverse: ties differ


@pytest.mark.full
def test_torchao_divides_zeros_by_zero():
    from torchao.prototype.mx_formats.nvfp4_tensor import nvfp4_quantize

    scales, _ = nvfp4_quantize(torch.zeros(1, 16), per_tensor_scale=torch.zeros(()))
    assert scales.float().isnan().all()
    assert lesson.nvfp4_quantize(torch.zeros(1, 16))[0].tolist() == [[0.0] * 16]


@pytest.mark.full
def test_nf4_as_torchao():
    from torchao.quantization.quantize_.workflows.nf4.nf4_tensor import NF4Tensor

    weight = torch.randn(64, 256, generator=torch.Generator().manual_seed(4))
    theirs = NF4Tensor.from_tensor(weight, 64, 256)
    codes, absmax = lesson.nf4_quantize(weight)
    packed = theirs.quantized_data
    their_codes = torch.stack([packed >> 4, packed & 15], -1).flatten()
    levels = lesson.nf4_codebook()
    middles = (levels[1:] + levels[:-1]) / 2
    quotients = (weight.reshape(-1, 64) / absmax.unsqueeze(1)).reshape(-1, 1)
    settled = ((quotients - middles).abs() > 1e-4).all(1)  # their levels are rounded to four decimals
    assert torch.equal(codes[settled], their_codes[settled])
    assert settled.float().mean() > 0.99
    assert (levels - theirs.nf4).abs().max() < 6e-5
    scale_codes, scales, mean = lesson.double_quantize(absmax)
    assert torch.equal(mean, theirs.scaler_mean)
    assert (scale_codes - theirs.quantized_scalers.flatten()).abs().max() <= 1  # they divide by 128, and clamp
    assert scales.isfinite().all()
