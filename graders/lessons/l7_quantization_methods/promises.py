"""What the statements of lesson 7 promise, sentence by sentence, and the check that would miss it ("-": it promises nothing)."""

PROMISES = {
    "perplexity": [
        (
            "Return exp(total negative log-likelihood / number of label tokens) of a language model on the batches.",
            "test_over_all_tokens_of_unequal_batches",
        ),
        ("is passed whole as `model(**batch)`, once", "test_batches_are_passed_whole"),
        ("and left as it is;", "test_leaves_nothing_behind"),
        ("the output only `.logits` is used.", "test_over_all_tokens_of_unequal_batches"),
        ("Unless `model.config.is_encoder_decoder`, labels are shifted", "test_an_encoder_decoder_is_not_shifted"),
        ("Log-softmax in float32", "test_log_softmax_in_float32"),
        ("in eval mode, without gradients;", "test_each_batch_once_in_eval_mode"),
        ("also after an exception.", "test_modes_are_restored"),
        ("ValueError if no label counts.", "test_refuses_no_tokens"),
    ],
    "smooth_scales": [
        ("Return SmoothQuant's divisors of the input channels", "test_balances_the_ranges"),
        ("alpha: from 0 to 1.", "test_the_ends"),
        ("Each a_j, w_j and s_j is raised to 1e-5 where it is smaller; nothing is added.", "test_dead_channels"),
    ],
    "smooth": [
        ("so that new(x / s) equals linear(x).", "test_the_function_stays"),
        ("so that new(x / s) equals linear(x).", "test_the_new_layer_called"),
        ("The new layer's weight has column j multiplied by s_j;", "test_moves_the_range"),
        ("or None.", "test_the_bias_stays"),
        ("`linear` stays as it is.", "test_leaves_nothing_behind"),
    ],
    "hadamard": [
        ("Return Sylvester's Hadamard matrix of n rows", "test_sylvesters"),
        ("ValueError unless n is a power of two (1 is one).", "test_refuses_other_sizes"),
    ],
    "fast_hadamard": [
        ("Return x H for Sylvester's H of the last axis' length", "test_is_the_product"),
        ("any leading dimensions; same shape and dtype", "test_leading_dimensions"),
        ("x stays as it is.", "test_leaves_nothing_behind"),
    ],
    "rotate": [
        ("Return a new layer with weight W H", "test_turns_the_weight"),
        ("so that new(fast_hadamard(x)) equals linear(x).", "test_the_new_layer_called"),
        ("In the layer's dtype (float32 or float64)", "test_float64"),
        ("with its bias as it is, or None;", "test_the_bias_stays"),
        ("in_features is a power of two.", "test_refuses_other_sizes"),
    ],
    "input_hessian": [
        (
            "Return the sum of xᵀ x over all tokens of all batches, divided by the number of tokens",
            "test_mean_over_all_tokens",
        ),
        ("widened to float64 before the product;", "test_widened_before_the_product"),
        ("a batch without tokens counts nothing.", "test_batches_without_tokens"),
        ("ValueError if there are no tokens at all.", "test_refuses_no_tokens"),
    ],
    "gptq_quantize_layer": [
        ("Quantize a weight with GPTQ: int8 codes of its shape", "test_later_columns_make_up"),
        ("All in float64;", "test_nearly_the_same_inputs"),
        ("both stay as they are.", "test_leaves_nothing_behind"),
        ("Dead inputs j, H_jj = 0: H_jj = 1 and column j of the weight is 0.", "test_dead_inputs"),
        ("Then damp * mean of H's diagonal is added to it.", "test_damping"),
        ("clamped to ±(2**(bits-1) - 1);", "test_codes_are_clamped"),
    ],
    "quantize_kv": [
        ("Affine, on the group's own minimum and maximum", "test_keys_by_channel_values_by_token"),
        ("divide the tokens of keys or the channels of values.", "test_refuses_groups_that_do_not_fit"),
    ],
    "layer_sensitivity": [
        ("by qualified name and in order", "test_qualified_names"),
        ("negative where it gains.", "test_models_are_told_apart"),
        ("no activations.", "test_models_are_told_apart"),
        ("one build and one evaluation", "test_one_build_and_one_evaluation_each"),
    ],
    "equalize": [
        ("Return new layers with equal ranges", "test_equal_ranges"),
        ("so that new_second(relu(new_first(x))) equals second(relu(first(x))).", "test_the_function_stays"),
        ("or 1 where one of them is 0.", "test_ranges_of_zero"),
        ("or 1 where one of them is 0.", "test_small_ranges"),
        ("Row i of the first, its bias too, is divided by s_i", "test_biases"),
        ("both arguments stay as they are.", "test_leaves_nothing_behind"),
    ],
    "awq_scales": [
        ("of the candidates, the one of least output error.", "test_the_best_candidate"),
        ("at least 1e-4;", "test_silent_channels"),
        ("ValueError if group_size does not divide the columns.", "test_refuses_groups_that_do_not_fit"),
    ],
}
