"""What the statements of lesson 8 promise, sentence by sentence, and the check that would miss it ("-": it promises nothing)."""

PROMISES = {
    "decode_bound": [
        ("Return the tokens per second that memory allows one sequence", "test_bandwidth_over_bytes"),
        ("the cache may be 0.", "test_without_a_cache"),
        ("ValueError unless all are > 0;", "test_refuses_what_is_not_positive"),
    ],
    "compute_bound_batch": [
        ("peak · bits / (16 · bandwidth).", "test_reading_takes_as_long_as_computing"),
        ("ValueError unless all are > 0.", "test_refuses_what_is_not_positive"),
        ("ValueError unless all are > 0.", "test_refuses_two_negative_numbers"),
    ],
    "plan_mixed_precision": [
        ("least total cost within the budget", "test_least_cost_that_fits"),
        ("of equal cost fewest bytes.", "test_fewest_bytes_of_equal_cost"),
        ("both with the same keys, in any order;", "test_the_order_of_keys_is_free"),
        ("At most 40 layers of 4 precisions", "test_forty_layers"),
        ("A plan fits if its bytes are <= budget_bytes;", "test_a_plan_may_fill_the_budget"),
        ("ValueError if even the smallest does not.", "test_refuses_a_budget_that_is_too_small"),
        ("No layers: {}.", "test_no_layers"),
    ],
    "apply_plan": [
        ("Return a model from `build()`, called once", "test_builds_once"),
        ("with each Linear in the precision that the plan gives it, frozen.", "test_each_layer_in_its_precision"),
        ("A layer that the plan lacks stays float.", "test_float_layers"),
        ('ValueError for a name that is no Linear of the model, with "float32" too', "test_refuses_names_of_no_linear"),
        ("and for any other precision.", "test_refuses_other_precisions"),
    ],
    "repair": [
        ("that still works.", "test_works_in_int8"),
        ("in at most as many bytes as plain int8.", "test_is_no_larger"),
        ("batches: dicts of `input_ids`", "test_other_samples"),
    ],
    "smallest_model": [
        ("Return the best model that you can make of `build()` in at most `budget_bytes`.", "test_fits_and_works"),
        ("from 0.80 to 0.97 of the best known.", "test_is_as_good_as_the_best"),
    ],
    "pareto_front": [
        ("Return the rows that no other row beats, whole, by ascending bytes.", "test_rows_that_none_beats"),
        ("the first in the list stands for all.", "test_equal_rows_once"),
        ("The list stays", "test_leaves_nothing_behind"),
        ("[] gives [].", "test_no_rows"),
    ],
    "arithmetic_intensity": [
        ("Return operations per byte of (m, k) times (k, n)", "test_operations_per_byte"),
        ("bytes_a, bytes_b, bytes_out: bytes per element;", "test_each_part_has_its_own_bytes"),
    ],
}
