// The list of cases.
#include "cases.h"

const char *wn_case_family_name(wn_case_family family) {
    static const char *const names[WN_CASE_FAMILY_COUNT] = {
        "product", "gated", "input", "convert", "elementwise", "attention", "logits", "select", "statistics",
        "optimize", "train", "linear", "probe",
    };
    return names[family];
}

typedef struct wn_list {
    wn_case *cases;
    size_t capacity, count;
} wn_list;

static void add(wn_list *list, wn_case c, const char *name) {
    c.seed = 0x57494E4E4F57 + 977 * list->count;
    snprintf(c.name, sizeof c.name, "%s %s", wn_case_family_name(c.family), name);
    if (list->count < list->capacity) list->cases[list->count] = c;
    list->count++;
}

static const char *const kind_names[] = {"f32", "block8", "planes16", "token8", "bf16"};
static const char *const mask_names[] = {"all", "none", "last", "half", "tenth", "ragged"};
static const char *const number_names[] = {"exact", "random", "tiny", "zero", "huge"};
static const char *const kv_names[] = {"f32", "f16", "bf16", "int8"};

// Whether a format's columns come in blocks of 32.
static bool in_blocks(wn_format format) {
    return format != WN_F32 && format != WN_F16 && format != WN_BF16 && format != WN_INT8 && format != WN_MASKED_INT8
           && format != WN_MASKED_F16;
}

static void add_product(wn_list *list, wn_format format, wn_input_kind kind, size_t columns, size_t turn) {
    static const size_t shapes[][2] = {{1, 1}, {17, 3}, {5, 16}, {16, 65}, {7, 1}, {3, 2}, {12, 5}, {70, 4}};  // rows, tokens
    static const uint32_t groups[] = {32, 64, 128};
    size_t patterns = wn_format_masked(format) ? WN_MASK_COUNT : 1;
    for (size_t pattern = 0; pattern < patterns; pattern++) {
        for (wn_numbers numbers = WN_NUMBERS_EXACT; numbers <= WN_NUMBERS_RANDOM; numbers++, turn++) {
            // Long rows a few at a time, and fewer masks: what they try is the sum.
            if (columns > 4096 && numbers == WN_NUMBERS_RANDOM && pattern != WN_MASK_HALF && pattern != WN_MASK_ALL) continue;
            const size_t *shape = shapes[turn % 8];
            wn_case c = {.family = WN_CASE_PRODUCT, .format = format, .kind = kind, .numbers = numbers, .columns = columns,
                         .pattern = (int32_t)pattern, .variant = (int32_t)(turn % 3), .group = groups[turn / 2 % 3]};
            c.rows = columns > 4096 ? 1 + turn % 3 : shape[0];
            c.tokens = columns > 4096 ? 1 + turn % 2 : shape[1];
            char name[80];
            snprintf(name, sizeof name, "%s %s %zux%zu tokens %zu %s%s%s", wn_format_name(format), kind_names[kind], c.rows,
                     columns, c.tokens, number_names[numbers], patterns > 1 ? " mask " : "",
                     patterns > 1 ? mask_names[pattern] : "");
            add(list, c, name);
        }
    }
}

static void add_products(wn_list *list) {
    static const size_t blocks[] = {32, 64, 96, 160, 544, 1056, 65568}, plain[] = {1, 31, 33, 64, 257, 576, 65601};
    static const size_t fours[] = {4, 32, 36, 64, 260, 576, 65604};
    for (wn_format format = WN_F32; format < WN_Q5_0; format++) {
        for (wn_input_kind kind = WN_INPUT_F32; kind <= WN_INPUT_PLANES16; kind++) {
            if (kind != WN_INPUT_F32 && kind != wn_format_input(format)) continue;
            const size_t *widths = format == WN_BLOCK4_INT8 ? fours : in_blocks(format) ? blocks : plain;
            for (size_t i = 0; i < 7; i++) add_product(list, format, kind, widths[i], 3 * i + format);
        }
    }
}

// Masks that rows are read without counting.
static void add_two_of_four(wn_list *list) {
    static const size_t widths[] = {64, 192, 2112, 8256, 65600}, tokens[] = {1, 3, 1, 2, 1};
    for (wn_format format = WN_MASKED_Q4_0; format <= WN_MASKED_F16; format++) {
        for (size_t i = 0; i < 5; i++) {
            wn_case c = {.family = WN_CASE_PRODUCT, .format = format, .kind = wn_format_input(format),
                         .numbers = i % 2 ? WN_NUMBERS_RANDOM : WN_NUMBERS_EXACT, .pattern = WN_MASK_TWO_OF_FOUR, .group = 64,
                         .rows = widths[i] > 4096 ? 2 : 9, .columns = widths[i], .tokens = tokens[i]};
            char name[80];
            snprintf(name, sizeof name, "%s %zux%zu tokens %zu mask 2:4", wn_format_name(format), c.rows, c.columns, c.tokens);
            add(list, c, name);
        }
    }
}

// Sparse rows for many tokens: blocks of tokens whole and broken, runs of columns whole and broken.
static void add_many_tokens(wn_list *list, wn_format format, wn_input_kind kind) {
    static const size_t shapes[][3] = {  // rows, columns, tokens
        {40, 768, 64}, {1, 64, 32}, {33, 257, 33}, {16, 200, 65}, {31, 1, 63}, {64, 385, 100}, {7, 65601, 34}, {35, 1576, 130}};
    static const wn_mask_pattern masks[] = {WN_MASK_TENTH, WN_MASK_HALF, WN_MASK_RAGGED, WN_MASK_NONE, WN_MASK_LAST, WN_MASK_ALL};
    for (size_t i = 0; i < 8; i++) {
        for (size_t j = 0; j < 6; j++) {
            if (shapes[i][1] > 4096 && j > 1) continue;
            wn_case c = {.family = WN_CASE_PRODUCT, .format = format, .kind = kind,
                         .numbers = (i + j) % 2 ? WN_NUMBERS_EXACT : WN_NUMBERS_RANDOM, .pattern = masks[j],
                         .variant = (int32_t)(i % 3), .rows = shapes[i][0], .columns = shapes[i][1], .tokens = shapes[i][2]};
            if (format == WN_BLOCK4_INT8) c.columns = (c.columns + 3) / 4 * 4;
            char name[80];
            snprintf(name, sizeof name, "%s %s many %zux%zu tokens %zu mask %s", wn_format_name(format), kind_names[kind],
                     c.rows, c.columns, c.tokens, mask_names[masks[j]]);
            add(list, c, name);
        }
    }
}

// The larger blocks of GGUF: no masks, and no numbers that come out exact.
static void add_ggml_blocks(wn_list *list) {
    static const size_t shapes[][3] = {{1, 1, 1}, {17, 3, 3}, {5, 9, 17}};  // rows, tokens, times the block's width
    for (wn_format format = WN_Q5_0; format < WN_FORMAT_COUNT; format++) {
        size_t width, bytes;
        wn_ggml_block(format, &width, &bytes);
        for (wn_input_kind kind = WN_INPUT_F32; kind <= WN_INPUT_BLOCK8; kind++) {
            for (size_t i = 0; i < 3; i++) {
                wn_case c = {.family = WN_CASE_PRODUCT, .format = format, .kind = kind, .numbers = WN_NUMBERS_RANDOM,
                             .rows = shapes[i][0], .tokens = shapes[i][1], .columns = shapes[i][2] * width,
                             .variant = (int32_t)i};
                char name[80];
                snprintf(name, sizeof name, "%s %s %zux%zu tokens %zu", wn_format_name(format), kind_names[kind], c.rows,
                         c.columns, c.tokens);
                add(list, c, name);
            }
        }
    }
}

// Blocks of 32, and groups of them, for many tokens: sixteens whole and broken, a run of sixteen blocks and what is left of one.
static void add_block_tokens(wn_list *list) {
    static const size_t shapes[][3] = {{19, 37, 0}, {8, 64, 1}, {33, 101, 2}};  // rows, tokens, which width
    static const size_t widths[] = {544, 1056, 64};
    for (wn_format format = WN_Q4_0; format < WN_FORMAT_COUNT; format++) {
        size_t width = 0, bytes = 0;
        if (format >= WN_Q5_0) wn_ggml_block(format, &width, &bytes);
        const bool grouped = format == WN_INT4 || format == WN_MASKED_INT4;
        if (format < WN_Q5_0 && !grouped && wn_format_input(format) != WN_INPUT_BLOCK8) continue;
        for (size_t i = 0; i < 3; i++) {
            wn_case c = {.family = WN_CASE_PRODUCT, .format = format, .numbers = WN_NUMBERS_RANDOM,
                         .kind = grouped ? WN_INPUT_PLANES16 : WN_INPUT_BLOCK8, .group = grouped ? 32u << i : 0,
                         .pattern = WN_MASK_HALF, .rows = shapes[i][0], .tokens = shapes[i][1],
                         .columns = width > 32 ? (2 * i + 1) * width : widths[i] + (grouped ? 37 * i : 0), .variant = (int32_t)i};
            char name[80];
            snprintf(name, sizeof name, "%s many %zux%zu tokens %zu", wn_format_name(format), c.rows, c.columns, c.tokens);
            add(list, c, name);
        }
    }
}

// Products of bfloat16, of whatever format the weights are.
static void add_bf16(wn_list *list) {
    static const wn_format formats[] = {WN_F32, WN_F16, WN_BF16, WN_Q4_1, WN_INT8, WN_MASKED_F16};
    static const size_t shapes[][3] = {{1, 3, 64}, {5, 16, 96}, {17, 37, 544}, {40, 130, 160}};  // rows, tokens, columns
    for (size_t i = 0; i < 6 * 4; i++) {
        wn_case c = {.family = WN_CASE_PRODUCT, .format = formats[i / 4], .kind = WN_INPUT_BF16, .numbers = WN_NUMBERS_RANDOM,
                     .pattern = WN_MASK_HALF, .rows = shapes[i % 4][0], .tokens = shapes[i % 4][1], .columns = shapes[i % 4][2]};
        char name[80];
        snprintf(name, sizeof name, "%s bf16 %zux%zu tokens %zu", wn_format_name(formats[i / 4]), c.rows, c.columns, c.tokens);
        add(list, c, name);
    }
}

static void add_gated(wn_list *list) {
    for (size_t i = 0; i < 4; i++) {
        wn_case c = {.family = WN_CASE_GATED, .format = WN_MASKED_INT8, .gate = i % 2 ? WN_MASKED_INT8 : WN_INT8,
                     .kind = WN_INPUT_PLANES16, .numbers = WN_NUMBERS_RANDOM, .pattern = WN_MASK_TENTH, .rows = 37,
                     .columns = i < 2 ? 96 : 450, .tokens = 47};
        char name[80];
        snprintf(name, sizeof name, "masked_int8 by %s many %zux%zu", wn_format_name((wn_format)c.gate), c.rows, c.columns);
        add(list, c, name);
    }
    for (wn_format format = WN_F32; format < WN_Q5_0; format++) {
        wn_format other = (wn_format)((format + 5) % WN_Q5_0);
        for (size_t i = 0; i < 2; i++) {
            wn_case c = {.family = WN_CASE_GATED, .format = format, .gate = i ? other : format, .kind = wn_format_input(format),
                         .numbers = WN_NUMBERS_RANDOM, .pattern = WN_MASK_HALF, .group = 64, .rows = i ? 19 : 6,
                         .columns = i ? 96 : 160, .tokens = i ? 3 : 1};
            char name[80];
            snprintf(name, sizeof name, "%s by %s %zux%zu tokens %zu", wn_format_name(format), wn_format_name((wn_format)c.gate),
                     c.rows, c.columns, c.tokens);
            add(list, c, name);
        }
    }
}

static void add_inputs(wn_list *list) {
    static const size_t columns[] = {1, 31, 32, 33, 64, 96, 257, 576, 2048};
    for (wn_input_kind kind = WN_INPUT_F32; kind <= WN_INPUT_TOKEN8; kind++) {
        for (size_t i = 0; i < 9; i++) {
            for (wn_numbers numbers = WN_NUMBERS_EXACT; numbers <= WN_NUMBERS_HUGE; numbers++) {
                for (int32_t norm = 0; norm < 2; norm++) {
                    // Squares of the largest floats are infinite: no norm there.
                    if (norm && numbers == WN_NUMBERS_HUGE) continue;
                    wn_case c = {.family = WN_CASE_INPUT, .kind = kind, .numbers = numbers, .variant = norm,
                                 .columns = columns[i], .tokens = i % 2 ? 9 : 1};
                    char name[80];
                    snprintf(name, sizeof name, "%s %zu tokens %zu %s%s", kind_names[kind], columns[i], c.tokens,
                             number_names[numbers], norm ? " normed" : "");
                    add(list, c, name);
                }
            }
        }
    }
}

static void add_elementwise(wn_list *list) {
    static const size_t counts[] = {1, 15, 16, 31, 33, 257, 576, 4096}, widths[] = {2, 6, 32, 64, 80};
    static const char *const names[] = {"rms_norm", "silu_multiply", "add", "rope interleaved", "rope halves",
                                        "layer_norm", "gelu_multiply", "soft_cap"};
    for (int32_t variant = 0; variant < 8; variant++) {
        bool turns = variant == 3 || variant == 4;
        for (size_t i = 0; i < (turns ? 5 : 8); i++) {
            wn_case c = {.family = WN_CASE_ELEMENTWISE, .variant = variant, .tokens = 1 + i % 4, .heads = 1 + i,
                         .columns = turns ? widths[i] : counts[i]};
            char name[64];
            snprintf(name, sizeof name, "%s %zu", names[variant], c.columns);
            add(list, c, name);
        }
    }
}

static void add_attention(wn_list *list) {
    static const size_t widths[] = {64, 64, 128, 80, 33, 256, 8}, rows[] = {1, 3, 17, 37}, heads[][2] = {{9, 3}, {4, 4}, {8, 1}, {6, 2}};
    size_t turn = 0;
    for (int32_t type = WN_KV_F32; type <= WN_KV_INT8; type++) {
        for (size_t w = 0; w < 7; w++) {
            for (int32_t cut = 0; cut < 6; cut++, turn++) {
                wn_case c = {.family = WN_CASE_ATTENTION, .format = type, .variant = cut, .columns = widths[w],
                             .heads = heads[turn % 4][0], .kv_heads = heads[turn % 4][1], .tokens = rows[turn / 2 % 4],
                             .numbers = turn % 3 == 0 ? WN_NUMBERS_EXACT : WN_NUMBERS_RANDOM};
                char name[80];
                snprintf(name, sizeof name, "%s heads %zu/%zu of %zu rows %zu cut %d%s", kv_names[type], c.heads, c.kv_heads,
                         widths[w], c.tokens, cut, turn % 3 == 0 ? " peaked" : "");
                add(list, c, name);
            }
        }
    }
}

static void add_rest(wn_list *list) {
    char name[64];
    for (int32_t type = WN_KV_F16; type <= WN_KV_BF16; type++) {
        for (int32_t variant = 0; variant < 10; variant++) {
            snprintf(name, sizeof name, variant ? "f32 to %s, part %d" : "%s to f32", kv_names[type], variant);
            add(list, (wn_case){.family = WN_CASE_CONVERT, .format = type, .variant = variant}, name);
        }
    }
    static const char *const asked[] = {"log_sum_exp", "softmax", "argmax", "all_finite"};
    static const size_t counts[] = {1, 15, 16, 17, 33, 257, 49152}, scores[] = {1, 7, 8, 9, 31, 64, 65, 257, 4099};
    for (int32_t variant = 0; variant < 4; variant++) {
        for (size_t i = 0; i < 7; i++) {
            for (wn_numbers numbers = WN_NUMBERS_EXACT; numbers <= WN_NUMBERS_HUGE; numbers++) {
                if (numbers == WN_NUMBERS_TINY) continue;
                snprintf(name, sizeof name, "%s %zu %s", asked[variant], counts[i], number_names[numbers]);
                add(list, (wn_case){.family = WN_CASE_LOGITS, .variant = variant, .columns = counts[i], .numbers = numbers}, name);
            }
        }
    }
    for (int32_t variant = 0; variant < 5; variant++) {
        for (size_t i = 0; i < 9; i++) {
            snprintf(name, sizeof name, "%zu scores, sort %d", scores[i], variant);
            add(list, (wn_case){.family = WN_CASE_SELECT, .variant = variant, .columns = scores[i]}, name);
        }
    }
    for (size_t i = 0; i < 7; i++) {
        size_t columns = i == 6 ? 1000 : counts[i];
        snprintf(name, sizeof name, "squares %zu", columns);
        add(list, (wn_case){.family = WN_CASE_STATISTICS, .columns = columns, .tokens = 1 + 5 * i}, name);
    }
}

static void add_optimize(wn_list *list) {
    static const size_t counts[] = {1, 15, 16, 31, 33, 64, 257, 1600};
    static const char *const names[] = {"adam", "adam halves", "sgd", "lion", "sm3", "factored", "terms", "packing",
                                        "sum_squares", "adam aged"};
    for (int32_t variant = 0; variant < 20; variant++) {
        for (size_t i = 0; i < 8; i++) {
            int32_t pattern = variant % 2 ? (int32_t)(i + (size_t)variant) % WN_MASK_COUNT : WN_MASK_ALL;
            wn_case c = {.family = WN_CASE_OPTIMIZE, .variant = variant, .columns = counts[i], .pattern = pattern};
            char name[64];
            snprintf(name, sizeof name, "%s %zu mask %s", names[variant / 2], counts[i], variant % 2 ? mask_names[pattern] : "none at all");
            add(list, c, name);
        }
    }
}

static void add_train(wn_list *list) {
    char name[80];
    static const char *const layouts[] = {"nn", "nt", "tn"};
    // Rows, columns, depth: one, odd, whole tiles, edges of blocks.
    static const size_t products[][3] = {{1, 1, 1}, {5, 17, 31}, {12, 32, 16}, {97, 33, 257}, {13, 65, 300},
                                         {192, 64, 8}, {3, 2051, 20}, {48, 96, 513}};
    static const char *const precisions[] = {"", ", bf16 rounded", ", bf16 pairs", ", bf16 tiles"};
    for (int32_t at = 0; at < 4 * 3 * 8; at++) {
        int32_t kind = at / 24, layout = at / 8 % 3, i = at % 8;
        wn_case c = {.family = WN_CASE_TRAIN, .format = layout, .kind = kind, .rows = products[i][0],
                     .columns = products[i][1], .tokens = products[i][2], .variant = (i + layout) % 2,
                     .numbers = i % 3 == 0 ? WN_NUMBERS_EXACT : WN_NUMBERS_RANDOM};
        snprintf(name, sizeof name, "product %s %zux%zu of %zu%s%s", layouts[layout], c.rows, c.columns, c.tokens,
                 c.variant ? " added" : "", precisions[kind]);
        add(list, c, name);
    }
    static const size_t widths[] = {1, 15, 16, 33, 257, 576};
    static const char *const names[] = {"rms norm", "layer norm", "silu", "gelu", "relu", "exact gelu", "rows"};
    for (int32_t what = 0; what < 7; what++) {
        for (size_t i = 0; i < 6; i++) {
            wn_case c = {.family = WN_CASE_TRAIN, .format = 3 + what, .columns = widths[i], .tokens = 1 + 7 * i};
            if (what >= 2 && what < 6 && i == 5) c.columns = 40001;
            snprintf(name, sizeof name, "%s %zu", names[what], c.columns);
            add(list, c, name);
        }
    }
    static const size_t attentions[][4] = {{1, 1, 1, 8}, {4, 2, 9, 5}, {2, 1, 70, 16}, {3, 3, 64, 33}, {2, 2, 129, 64},
                                           {1, 1, 3, 256}};
    for (size_t i = 0; i < 6; i++) {
        for (int32_t kind = 0; kind < 8; kind++) {
            wn_case c = {.family = WN_CASE_TRAIN, .format = 10, .heads = attentions[i][0], .kv_heads = attentions[i][1],
                         .tokens = attentions[i][2], .columns = attentions[i][3], .kind = kind};
            snprintf(name, sizeof name, "attention %zu/%zu heads of %zu, %zu tokens%s%s%s", c.heads, c.kv_heads, c.columns,
                     c.tokens, kind & 1 ? ", window" : "", kind & 2 ? ", cap" : "", kind & 4 ? ", both ways" : "");
            add(list, c, name);
        }
    }
    static const size_t vocabularies[] = {1, 2, 16, 31, 257, 5000};
    for (size_t i = 0; i < 6; i++) {
        wn_case c = {.family = WN_CASE_TRAIN, .format = 11, .columns = vocabularies[i], .tokens = 5};
        snprintf(name, sizeof name, "losses %zu", c.columns);
        add(list, c, name);
    }
}

static void add_linear(wn_list *list) {
    static const char *const names[] = {"gram", "sums", "product", "product turned", "product lower", "product of a lower",
                                        "factor and inverse", "sweep", "sweep 2:4", "sweep codes", "sweep codes offset",
                                        "sweep 2:4 scales found"};
    static const size_t shapes[][3] = {{1, 1, 1}, {7, 5, 3}, {48, 64, 128}, {49, 65, 129}, {9, 16, 200}, {130, 97, 300}};
    for (int32_t variant = 0; variant < 12; variant++) {
        for (size_t i = 0; i < 6; i++) {
            wn_case c = {.family = WN_CASE_LINEAR, .variant = variant, .rows = shapes[i][0], .columns = shapes[i][1],
                         .tokens = shapes[i][2]};
            if (variant == 5) c.rows = c.tokens;
            char name[80];
            snprintf(name, sizeof name, "%s %zux%zu depth %zu", names[variant], c.rows, c.columns, c.tokens);
            add(list, c, name);
        }
    }
}

static void add_probes(wn_list *list) {
    static const char *const names[] = {"f32", "bf16", "int8"};
    static const size_t rounds[] = {0, 1, 20000};
    for (int32_t kind = 0; kind < WN_PROBE_COUNT; kind++) {
        for (size_t i = 0; i < 3; i++) {
            wn_case c = {.family = WN_CASE_PROBE, .kind = kind, .rows = rounds[i]};
            char name[80];
            snprintf(name, sizeof name, "%s %zu rounds", names[kind], rounds[i]);
            add(list, c, name);
        }
    }
}

size_t wn_case_list(wn_case *cases, size_t capacity) {
    wn_list list = {cases, capacity, 0};
    add_products(&list);
    add_two_of_four(&list);
    add_many_tokens(&list, WN_MASKED_INT8, WN_INPUT_PLANES16);
    add_many_tokens(&list, WN_MASKED_INT8, WN_INPUT_TOKEN8);
    add_many_tokens(&list, WN_BLOCK4_INT8, WN_INPUT_PLANES16);
    add_many_tokens(&list, WN_BLOCK4_INT8, WN_INPUT_TOKEN8);
    add_ggml_blocks(&list);
    add_block_tokens(&list);
    add_bf16(&list);
    add_gated(&list);
    add_inputs(&list);
    add_elementwise(&list);
    add_attention(&list);
    add_rest(&list);
    add_optimize(&list);
    add_train(&list);
    add_linear(&list);
    add_probes(&list);
    return list.count;
}
