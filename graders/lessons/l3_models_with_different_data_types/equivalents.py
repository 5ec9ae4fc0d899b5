"""Mutants of lesson 3 that are right: each with the proof that no input of the contract tells it from a right solution."""

_ORDER = "Only the order in which tensors are visited changes; each is counted or noted once, and a sum has no order."
_NO_GRADIENTS = "transformers decorates `generate` with torch.no_grad itself, inside whatever mode surrounds it."
_LENGTHS_EQUAL = "Unequal lengths are refused on the line before, so strict has nothing left to find."
_GENERATE = "tokens = model.generate(**inputs, do_sample=False, num_beams=1, max_new_tokens=20)"
_LOADED = "return BlipForConditionalGeneration.from_pretrained(folder, dtype=dtype or 'auto', local_files_only=True)"

_GROUPS = (
    (
        "memory_footprint",
        ["tensors = [*model.parameters(), *model.buffers()]  ->  tensors = [*model.buffers(), *model.parameters()]"],
        _ORDER,
    ),
    (
        "footprint_ratio",
        [
            "for tensor in [*model.parameters(), *model.buffers()]  ->  "
            "for tensor in [*model.buffers(), *model.parameters()]"
        ],
        _ORDER,
    ),
    (
        "load_in_dtype",
        [
            f"{_LOADED}  ->  return BlipForConditionalGeneration.from_pretrained(folder, dtype=dtype or 'auto')",
            f"{_LOADED}  ->  {_LOADED.replace('True', 'False')}",
        ],
        "A folder that exists is read without the network either way; one that does not is an OSError either way, since "
        "workers have HF_HUB_OFFLINE set and no network.",
    ),
    (
        "load_in_dtype",
        [f"{_LOADED}  ->  {_LOADED.replace(chr(32) + 'or ' + repr('auto'), '')}"],
        "In transformers 5 the dtype of from_pretrained is 'auto' unless one is given, and None counts as not given.",
    ),
    (
        "caption_image",
        [
            "inputs = processor(images=image, return_tensors='pt').to(dtype)  ->  "
            "inputs = processor(images=image, return_tensors='pt').to(torch.float32).to(dtype)"
        ],
        "The processor gives its pixels as float32 (and nothing else that is float); a cast to float32 changes nothing.",
    ),
    (
        "caption_image",
        [f"with torch.no_grad()  ->  {_GENERATE}", "with torch.no_grad()  ->  with torch.enable_grad()"],
        _NO_GRADIENTS,
    ),
    (
        "caption_image",
        [f"{_GENERATE}  ->  {_GENERATE.replace('20', '21')}"],
        "The statement asks for up to 20 new tokens at least; 21 is at least 20.",
    ),
    (
        "caption_image",
        [
            "return processor.decode(tokens[0], skip_special_tokens=True)  ->  "
            "return processor.decode(tokens[-1], skip_special_tokens=True)"
        ],
        "One image gives one sequence: the first row is the last.",
    ),
    (
        "caption_accuracy",
        ["if len(images) != len(captions) or not images  ->  if not images"],
        "Unequal lengths end in a ValueError all the same: zip raises it, with strict=True.",
    ),
    (
        "caption_accuracy",
        [
            "pairs = zip(images, captions, strict=True)  ->  pairs = zip(images, captions)",
            "pairs = zip(images, captions, strict=True)  ->  pairs = zip(images, captions, strict=False)",
        ],
        _LENGTHS_EQUAL,
    ),
    (
        "cast_except",
        [
            "kept.update([*module.parameters(), *module.buffers()])  ->  "
            "kept.update([*module.buffers(), *module.parameters()])"
        ],
        "A set is updated: it has no order.",
    ),
    (
        "compare_dtypes",
        [
            "mean_gap, max_gap = logits_gap(expected, logits(small, cast(inputs, dtype)))  ->  "
            "mean_gap, max_gap = logits_gap(logits(small, cast(inputs, dtype)), expected)"
        ],
        "The gaps are those of absolute differences, which do not change when the two sides are swapped.",
    ),
)
EQUIVALENT = {(exercise, text): proof for exercise, texts, proof in _GROUPS for text in texts}
