"""Mutants of lesson 8 that are right: each with the proof that no input of the contract tells it from a right solution."""

_SHIFTED = (
    "Every total cost is moved by the same number, so the least one is of the same plan; costs are only compared."
)
_SAME_TOTALS = "Of plans of equal cost and equal bytes any is right: a plan is judged by its two totals."
_EMPTY = "`min` of an empty dict raises ValueError as well."
_A_SCORE = (
    "The statement asks for a score and not for a method. This one's model has the modules, dtypes and bytes that are asked for, "
    "and keeps more than 0.9 of the float model's score at every channel of the outlier: the one norm whose weight one reader "
    "does not get is that of a layer that bears it, or the first batch tells the scales as well as all of them."
)
_ORDER = "The readers of a norm are changed one by one; their order does not matter."
_FITS = (
    "The statement asks for bytes and a score and not for a method. This one's models fit every budget from 10 336 to 12 624 "
    "bytes, since 4-bit layers with everything else in 16 bits take 8600, and their score is that of the reference up to 0.001."
)

_BEST = "best: dict = {{{}: (0, None)}}"
_ROOM = "if room <= budget_bytes and (total not in grown or room {} grown[total][0])"
_READS = "pairs.append((layer.input_layernorm, [{}]))"
_FEEDS = "pairs.append((layer.post_attention_layernorm, [{}]))"
_ATTENTION = _READS.format("attention.q_proj, attention.k_proj, attention.v_proj")
_MLP = _FEEDS.format("mlp.gate_proj, mlp.up_proj")
_PRECISIONS = "for precision in ('qint8', 'qint4', 'qint2')"
_CAST = "model = build().{}"

_GROUPS: tuple[tuple[str, list[str], str], ...] = (
    ("plan_mixed_precision", [f"{_BEST.format(0)}  ->  {_BEST.format(other)}" for other in (1, -1)], _SHIFTED),
    ("plan_mixed_precision", [f"{_ROOM.format('<')}  ->  {_ROOM.format('<=')}"], _SAME_TOTALS),
    (
        "plan_mixed_precision",
        ["without: if not best", "without: raise ValueError('even the smallest plan does not fit')"],
        _EMPTY,
    ),
    (
        "repair",
        [
            f"{_ATTENTION}  ->  {_READS.format('attention.k_proj, attention.q_proj, attention.v_proj')}",
            f"{_MLP}  ->  {_FEEDS.format('mlp.up_proj, mlp.gate_proj')}",
        ],
        _ORDER,
    ),
    (
        "repair",
        [
            f"{_ATTENTION}  ->  {_READS.format('attention.k_proj, attention.v_proj')}",
            f"{_ATTENTION}  ->  {_READS.format('attention.q_proj, attention.v_proj')}",
            f"{_MLP}  ->  {_FEEDS.format('mlp.up_proj')}",
            f"{_MLP}  ->  {_FEEDS.format('mlp.gate_proj')}",
            "only the first turn: for batch in batches",
        ],
        _A_SCORE,
    ),
    (
        "smallest_model",
        [
            *(
                f"{_PRECISIONS}  ->  for precision in ({other})"
                for other in ("'qint4', 'qint8', 'qint2'", "'qint4', 'qint2'", "'qint8', 'qint4'")
            ),
            *(
                f"{_CAST.format('to(torch.bfloat16)')}  ->  {_CAST.format(other)}"
                for other in (
                    "to(torch.float16)",
                    "to(torch.float16).to(torch.bfloat16)",
                    "to(torch.bfloat16).to(torch.bfloat16)",
                    "to(torch.float32).to(torch.bfloat16)",
                )
            ),
            "if models.llama_bytes(model) <= budget_bytes  ->  if models.llama_bytes(model) < budget_bytes",
        ],
        _FITS,
    ),
)

EQUIVALENT = {(exercise, text): proof for exercise, texts, proof in _GROUPS for text in texts}
