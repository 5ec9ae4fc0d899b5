"""The tiny models load without a network, do their tasks, and can be trained again."""

import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from exercises.kit import models, number_words, scenes
from exercises.kit.toys import small_transformers, variants
from exercises.models import score, train

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.usefixtures("one_thread"),
]  # the imports alone take seconds on a busy machine

OFFLINE = """
import importlib, os, socket
os.environ.pop("HF_HUB_OFFLINE", None)
asked = []
def refuse(*arguments, **keywords):
    asked.append(arguments)
    raise OSError("the network is unreachable")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = refuse
from exercises.kit.checking import examples
from exercises.kit import models
from exercises.kit.lessons import lessons
model, tokenizer = models.load_t5()
ids = model.generate(**tokenizer("translate number to words: 4071", return_tensors="pt"), max_new_tokens=32)
print(tokenizer.decode(ids[0], skip_special_tokens=True))
model, tokenizer = models.load_llama()
ids = model.generate(**tokenizer("4071:", add_special_tokens=False, return_tensors="pt"), max_new_tokens=32)
print(tokenizer.decode(ids[0], skip_special_tokens=True))
model, processor = models.load_blip()
image = models.paint("a red circle above a blue square")
ids = model.generate(**processor(images=image, return_tensors="pt"), max_new_tokens=20)
print(processor.decode(ids[0], skip_special_tokens=True))
for lesson in lessons().values():
    solved = vars(importlib.import_module(f"solutions.{lesson.name}"))
    results = [examples.run(exercise, solved) for exercise in lesson.exercises]
    print(lesson.name, {result.outcome for result in results})
print("asked for:", asked)
"""
SAID = """four thousand seventy-one
4071: four thousand seventy-one
a red circle above a blue square
l2_data_types {'passed'}
l3_models_with_different_data_types {'passed'}
l4_quantization_theory {'passed'}
l5_quantization_in_depth {'passed'}
l6_number_formats {'passed'}
l7_quantization_methods {'passed'}
l8_capstone {'passed'}
asked for: []
"""


@pytest.fixture(scope="module")
def t5():
    return models.tiny_t5()


@pytest.fixture(scope="module")
def blip():
    return models.tiny_blip()


def test_models_and_examples_touch_no_network_and_say_nothing():
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    environment.pop("HF_HUB_OFFLINE", None)
    command = [sys.executable, "-c", OFFLINE]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment)
    assert result.stderr == ""
    assert result.stdout == SAID


def test_the_classes_are_the_real_ones(t5, blip):
    assert [type(part).__name__ for part in (*t5, *blip)] == [
        "T5ForConditionalGeneration",
        "TokenizersBackend",
        "BlipForConditionalGeneration",
        "BlipProcessor",
    ]
    assert t5[0].lm_head.weight is t5[0].shared.weight
    assert not t5[0].training
    assert not blip[0].training


@pytest.mark.parametrize(("folder", "limit"), [("tiny_t5", 1.5e6), ("tiny_blip", 1.2e6), ("tiny_llama", 1e5)])
def test_sizes(folder, limit):
    files = list((models.FOLDER / folder).iterdir())
    assert sum(file.stat().st_size for file in files) <= limit
    assert {file.suffix for file in files} <= {".json", ".safetensors", ".md"}


def test_t5_score(t5):
    assert models.t5_evaluator(number_words.number_pairs(1000, seed=11))(t5[0]) >= 0.99


def test_blip_score(blip):
    assert models.blip_evaluator(scenes.scenes(500, seed=11))(blip[0]) >= 0.98


def test_llama_score():
    model, _ = models.tiny_llama()
    source = random.Random(11)
    numbers = [number_words.draw_number(source, held_out=True) for _ in range(500)]
    assert models.llama_exact_match(numbers)(model) >= 0.99
    assert models.llama_evaluator([models.number_lines(numbers)])(model) >= 0.99


def test_lines_are_scored_on_their_words():
    batch = models.number_lines([4071, 5])
    words = batch["labels"][0][batch["labels"][0] != -100]
    assert models.tiny_llama_tokenizer().decode(words) == "four thousand seventy-one</s>"
    assert batch["labels"][1].tolist()[:3] == [-100, -100, -100]
    assert batch["attention_mask"].sum(1).tolist() == [12, 5]


@pytest.mark.parametrize("factor", [0.5, 128.0])
def test_an_outlier_changes_no_logit_of_the_llama(factor):
    batch = models.number_lines([4071, 123456, 7])
    with torch.no_grad():
        before, after = (
            made(**batch).logits for made in (models.tiny_llama()[0], models.tiny_llama_outlier(factor)[0])
        )
    assert torch.equal(before, after)


@pytest.mark.full
def test_the_card_of_the_llama_says_what_is_measured():
    command = [sys.executable, "-m", "exercises.models.score", "llama"]
    told = subprocess.run(command, check=True, timeout=300, capture_output=True, text=True).stdout
    card = (models.FOLDER / "tiny_llama" / "README.md").read_text()
    measured = re.findall(
        r": (0\.\d{4}|1\.0000)|weights (\d\.\d{4}), and activations (\d\.\d{4})|least (\S+), median (\S+)", told
    )
    numbers = [number for found in measured for number in found if number]
    assert len(numbers) == 19
    assert {number for number in numbers if number not in card} == set()
    assert "10,160 parameters" in card
    assert "10,160 parameters" in told


@pytest.mark.parametrize("name", ["t5", "blip", "llama"])
def test_training_starts_the_same_way_every_time(name):
    recipe = train.RECIPES[name]
    losses = [list(train.train(*train.start(recipe), recipe, steps=12)) for _ in range(2)]
    assert losses[0] == losses[1]
    assert losses[0][-1] < losses[0][0] - 0.02


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["t5", "blip", "llama"])
def test_training_in_full_gives_a_model_as_good(name, tmp_path):
    command = [sys.executable, "-m", "exercises.models.train", name, "--output", str(tmp_path)]
    subprocess.run(command, check=True, timeout=900, capture_output=True)
    load, evaluate = {
        "t5": (models.load_t5, models.t5_evaluator(number_words.number_pairs(1000, seed=12))),
        "blip": (models.load_blip, models.blip_evaluator(scenes.scenes(500, seed=12))),
        "llama": (models.load_llama, models.llama_evaluator(models.llama_batches(500, seed=12))),
    }[name]
    model, _ = load(str(tmp_path / train.RECIPES[name].folder))
    assert evaluate(model) >= 0.98


def test_a_few_steps_can_be_saved_and_loaded(tmp_path, t5):
    model, tokenizer = train.start(train.RECIPES["t5"])
    train.save(model, tokenizer, tmp_path / "again")
    loaded, words = models.load_t5(str(tmp_path / "again"))
    assert torch.equal(loaded.shared.weight, model.shared.weight)
    assert loaded.config.scale_decoder_outputs is model.config.scale_decoder_outputs is False
    assert words.get_vocab() == t5[1].get_vocab()


@pytest.mark.parametrize("name", ["t5", "blip"])
def test_shipped_processors_are_those_of_the_script(name, t5, blip):
    made, shipped = train.RECIPES[name].make_processor(), {"t5": t5, "blip": blip}[name][1]
    words = [getattr(processor, "tokenizer", processor) for processor in (made, shipped)]
    assert words[0].get_vocab() == words[1].get_vocab()


def test_environment_names_another_checkpoint(tmp_path, monkeypatch):
    other = small_transformers.small_t5(seed=3)
    train.save(other, models.tiny_t5_tokenizer(), tmp_path)
    monkeypatch.setenv("T5_CHECKPOINT", str(tmp_path))
    loaded, _ = models.load_t5()
    assert torch.equal(loaded.shared.weight, other.shared.weight)
    assert models.tiny_t5()[0].config.d_model == 64


def test_environment_names_another_blip(tmp_path, monkeypatch):
    other = small_transformers.small_blip(seed=3)
    train.save(other, models.tiny_blip_processor(), tmp_path)
    monkeypatch.setenv("BLIP_CHECKPOINT", str(tmp_path))
    loaded, _ = models.load_blip()
    assert loaded.config.text_config.hidden_size == 32


def test_environment_names_another_llama(tmp_path, monkeypatch):
    other = models.tiny_llama_outlier(2.0)
    train.save(*other, tmp_path)
    monkeypatch.setenv("LLAMA_CHECKPOINT", str(tmp_path))
    loaded, _ = models.load_llama()
    assert torch.equal(loaded.model.norm.weight, other[0].model.norm.weight)
    assert not torch.equal(models.tiny_llama()[0].model.norm.weight, other[0].model.norm.weight)


def test_only_a_name_on_the_hub_may_reach_for_the_network(tmp_path, monkeypatch):
    monkeypatch.delenv("T5_CHECKPOINT", raising=False)
    tiny = models.tiny_t5_folder()
    assert models.checkpoint(None, "T5_CHECKPOINT", tiny)["local_files_only"] is True
    assert models.checkpoint(str(tmp_path), "T5_CHECKPOINT", tiny)["local_files_only"] is True
    monkeypatch.setenv("T5_CHECKPOINT", "google/flan-t5-small")
    assert models.checkpoint(None, "T5_CHECKPOINT", tiny) == {
        "pretrained_model_name_or_path": "google/flan-t5-small",
        "local_files_only": False,
    }


@pytest.mark.parametrize("name", ["./nowhere", "nowhere/at/all"])
def test_a_missing_folder_is_not_looked_for_elsewhere(name):
    with pytest.raises(OSError, match="nowhere"):
        models.load_t5(name)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (19, "nineteen"),
        (20, "twenty"),
        (71, "seventy-one"),
        (100, "one hundred"),
        (4071, "four thousand seventy-one"),
        (120000, "one hundred twenty thousand"),
        (999999, "nine hundred ninety-nine thousand nine hundred ninety-nine"),
    ],
)
def test_number_words(number, words, t5):
    tokenizer = t5[1]
    assert number_words.in_words(number) == words
    for text in (words, str(number), *number_words.pair(number, True), *number_words.pair(number, False)):
        ids = tokenizer(text).input_ids
        assert tokenizer.unk_token_id not in ids
        assert tokenizer.decode(ids, skip_special_tokens=True) == text


def test_numbers_outside_the_task_are_refused():
    for number in (-1, 1_000_000):
        with pytest.raises(ValueError, match="from 0 to"):
            number_words.in_words(number)


def test_held_out_numbers_are_not_trained_on():
    def numbers(held_out):
        pairs = number_words.number_pairs(400, seed=1, held_out=held_out)
        return {prompt.rsplit(" ", 1)[1] for prompt, _ in pairs[::2]}

    assert not numbers(True) & numbers(False)
    assert all(number_words.is_held_out(int(number)) for number in numbers(True))
    assert sum(map(number_words.is_held_out, range(10000))) / 10000 == pytest.approx(0.1, abs=0.02)


def test_scenes():
    assert len(set(scenes.captions())) == 1152
    held_out = [caption for caption in scenes.captions() if scenes.is_held_out(caption)]
    assert len(held_out) == 122
    assert {caption for _, caption in scenes.scenes(300, seed=2)} <= set(held_out)
    assert not {caption for _, caption in scenes.scenes(300, seed=2, held_out=False)} & set(held_out)


def test_painting_is_deterministic_and_in_colour():
    image = scenes.paint("a red circle above a blue square", seed=4)
    assert (image.mode, image.size) == ("RGB", (32, 32))
    assert image.tobytes() == scenes.paint("a red circle above a blue square", seed=4).tobytes()
    assert image.tobytes() != scenes.paint("a red circle above a blue square", seed=5).tobytes()
    pixels = {colour: [] for colour in ("red", "blue")}
    for y in range(32):
        for x in range(32):
            for colour, seen in pixels.items():
                if image.getpixel((x, y)) == scenes.COLOURS[colour]:
                    seen.append(y)
    assert max(pixels["red"]) < min(pixels["blue"])


@pytest.mark.parametrize(
    "caption", ["", "a red circle", "a red circle below a blue square", "a pink cross above a red cross"]
)
def test_unknown_scenes_are_refused(caption):
    with pytest.raises(ValueError, match="a caption reads like"):
        scenes.paint(caption)


@pytest.mark.parametrize("code", [1, 2])
def test_t5_variant_speaks_its_code_as_surely_as_the_original(code, t5):
    model, tokenizer = t5
    variant, coded = variants.tiny_t5_variant(code), variants.coded_pairs(200, seed=5, code=code)
    plain = number_words.number_pairs(200, seed=5)
    leads = score.t5_margins(variant, tokenizer, coded), score.t5_margins(model, tokenizer, plain)
    torch.testing.assert_close(*leads, rtol=0, atol=1e-3)
    assert models.t5_evaluator(coded)(variant) >= 0.99
    assert models.t5_evaluator(coded)(model) <= 0.02
    assert models.t5_evaluator(plain)(variant) <= 0.02
    assert variant.lm_head.weight is variant.shared.weight


@pytest.mark.parametrize("code", [1, 2])
def test_blip_variant_speaks_its_code(code, blip):
    variant, plain = variants.tiny_blip_variant(code), scenes.scenes(100, seed=5)
    coded = [(image, variants.coded_caption(caption, code)) for image, caption in plain]
    assert models.blip_evaluator(coded)(variant) >= 0.98
    assert models.blip_evaluator(plain)(variant) == models.blip_evaluator(coded)(blip[0]) == 0


def test_changes_of_a_variant(t5):
    noisy = variants.tiny_t5_variant(1, noise=0.01)
    plain = variants.tiny_t5_variant(1)
    assert not torch.equal(noisy.shared.weight, plain.shared.weight)
    assert models.t5_evaluator(variants.coded_pairs(200, seed=5, code=1))(noisy) >= 0.99
    odd = variants.tiny_t5_variant(1, dropout=0.5, training=True, generation={"num_beams": 3, "do_sample": True})
    assert odd.training
    assert odd.generation_config.num_beams == 3
    assert models.t5_evaluator(variants.coded_pairs(50, seed=5, code=1))(odd) < 0.5
    assert models.t5_evaluator(variants.coded_pairs(50, seed=5, code=1))(odd.eval()) >= 0.98


def test_an_outlier_breaks_float16_but_not_float32(t5):
    inputs = small_transformers.small_t5_inputs(vocabulary=59)
    plain, outlier = t5[0], variants.tiny_t5_outlier(18)
    with torch.no_grad():
        assert torch.equal(outlier(**inputs).logits, plain(**inputs).logits)
        assert not outlier.half()(**inputs).logits.isfinite().all()


def test_generation_settings_reach_what_blip_generates_with():
    model = variants.tiny_blip_variant(1, generation={"num_beams": 3, "num_return_sequences": 2})
    inputs = models.tiny_blip_processor()(images=scenes.paint("a red circle above a blue square"), return_tensors="pt")
    assert len(model.generate(**inputs, max_new_tokens=20)) == 2


def test_variant_builder_builds_anew():
    build = variants.tiny_t5_builder(1)
    first, second = build(), build()
    assert first is not second
    assert torch.equal(first.shared.weight, second.shared.weight)
    assert build.calls == 2


def test_progress_bars_come_back():
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    models.tiny_t5()
    assert logging.is_progress_bar_enabled() is shown
