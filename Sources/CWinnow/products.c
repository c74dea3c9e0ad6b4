// Products, whatever the instruction set: chunks of rows, tiles, epilogues.
#include "products.h"
#include "scalar/blocks.h"
#include "train.h"

#include <stdlib.h>

#include "wn_ops.h"

static void wn_read_row(const wn_product_table *table, const wn_matrix *matrix, size_t row, float *out) {
    if (wn_is_ggml_block(matrix->format)) {
        (table->row_f32_blocks ? table->row_f32_blocks : wn_row_f32_blocks)(matrix, row, out);
    } else {
        table->row_f32(matrix, row, out);
    }
}

static size_t wn_tile_bytes(size_t columns) {
    size_t stride = wn_round_up(columns, 64);
    size_t codes = WN_TILE_ROWS * (2 * stride + 2 * wn_block_stride(stride) * sizeof(float));
    size_t values = WN_TILE_ROWS * stride * (sizeof(float) + 2);  // and their panel of bfloat16
    return codes > values ? codes : values;
}

static const size_t wn_outputs_bytes = WN_TOKEN_BLOCK * WN_TILE_ROWS * sizeof(float);

static size_t wn_pair_capacity(size_t columns) { return WN_PAIR_ROWS * (wn_round_up(columns, 64) / 2) * 7 / 16; }

// Entries are stored sixteen at a time.
static size_t wn_list_bytes(size_t columns) {
    size_t entries = wn_round_up(wn_pair_capacity(columns) + 128, 64), runs = wn_round_up(columns, 64) / (2 * WN_PAIR_RUN) + 1;
    return entries * (sizeof(int32_t) + sizeof(uint16_t)) + wn_round_up(WN_PAIR_ROWS * (runs + 1) * sizeof(uint32_t), 64)
           + WN_PAIR_ROWS * WN_TOKEN_BLOCK * sizeof(int32_t);
}

size_t wn_product_scratch(size_t columns) {
    size_t tile = wn_tile_bytes(columns), list = wn_list_bytes(columns);
    return 2 * ((tile > list ? tile : list) + wn_outputs_bytes);
}

static void wn_place_tile(wn_tile *tile, const wn_matrix *matrix, size_t rows, wn_input_kind kind, unsigned char *memory) {
    size_t stride = wn_round_up(matrix->columns, 64), blocks = wn_block_stride(stride);
    tile->rows = rows;
    tile->columns = matrix->columns;
    tile->stride = stride;
    tile->block_stride = blocks;
    tile->values = (float *)memory;
    tile->scales = (float *)memory;
    tile->offsets = tile->scales + WN_TILE_ROWS * blocks;
    tile->codes = (uint8_t *)(tile->offsets + WN_TILE_ROWS * blocks);
    uint8_t *second = tile->codes + WN_TILE_ROWS * stride;
    tile->kept = kind == WN_INPUT_BLOCK8 && matrix->format == WN_MASKED_Q4_1 ? second : NULL;
    bool halves = kind == WN_INPUT_BLOCK8 && wn_has_halves(matrix->format);
    tile->half_scales = halves ? (float *)second : NULL;
    // Blocks of 256 columns leave room behind the scales.
    bool offsets = halves && matrix->format == WN_Q2_K;
    tile->half_offsets = offsets ? (float *)(second + WN_TILE_ROWS * stride) : NULL;
}

// Whether a matrix is multiplied with sixteen tokens beside each other.
static bool wn_in_tokens(const wn_product_table *table, const wn_matrix *matrix, const wn_input *input) {
    if (input->kind == WN_INPUT_BLOCK8) return table->arrange_block8 != NULL;
    return input->kind == WN_INPUT_PLANES16 && matrix->group && table->arrange_planes;
}

// Rows that share a tile: as many as keep its codes in the first-level cache. Float32 inputs come from the third
// level once a tile, which costs more than rows that wait in the second. At least eight: rows of 8,192 columns ran 1.07 to
// 1.25 times as fast so as four at a time, under AVX2 and AVX-512.
static size_t wn_tile_rows(size_t columns, wn_input_kind kind, size_t tokens) {
    size_t rows = tokens == 1 ? 8 : kind == WN_INPUT_F32 ? WN_TILE_ROWS : 32768 / columns;
    rows = rows / 8 * 8;
    return rows < 8 ? 8 : rows > WN_TILE_ROWS ? WN_TILE_ROWS : rows;
}

// Packed rows that a token reads, matrix by matrix: a stream that is left and taken up again begins slowly. The next of
// a few tokens finds them in the second-level cache.
enum { WN_DECODE_ROWS = 64 };

// Tokens up to which that costs less than a tile (kernels.md, "A few tokens at once").
static size_t wn_few_tokens(const wn_product_table *table, const wn_matrix *matrix, const wn_input *input) {
    // Tiles of sixteen tokens take as long for fewer.
    return wn_in_tokens(table, matrix, input) || matrix->format == WN_INT8 || matrix->format == WN_Q8_0 ? 5 : 3;
}

// Whether a table reads these packed rows itself.
static bool wn_decodes(const wn_product_table *table, const wn_matrix *matrix, const wn_input *input) {
    return input->tokens <= wn_few_tokens(table, matrix, input) && table->decode
           && table->decode(matrix, 0, 0, input, NULL);
}

// Panels of sixteen tokens are multiplied whole.
static bool wn_wants_bf16(const wn_input *input) {
    return input->kind == WN_INPUT_F32 && input->wide && input->tokens >= 16 && input->first % 16 == 0;
}

// What multiplies panels that were arranged for it; NULL: they were not.
static const wn_gemm_kernels *wn_takes_bf16(const wn_input *input) {
    bool is_arranged = wn_wants_bf16(input) && *input->paired > WN_ARRANGED_BF16;
    return is_arranged ? wn_bf16_kernels((wn_bf16)(*input->paired - WN_ARRANGED_BF16)) : NULL;
}

static void wn_arrange_bf16(wn_input *input, size_t first) {
    size_t rows = input->tokens - first < 16 ? input->tokens - first : 16;
    wn_view tokens = {input->f32 + first * input->f32_stride, input->f32_stride, 1};
    wn_bf16_kernels(WN_BF16_PAIRS)->pack_rows(tokens, rows, input->columns, input->wide + first * wn_round_up(input->columns, 32));
}

typedef struct wn_side {
    const wn_matrix *matrix;
    const wn_input *input;
    wn_tile tile;
    bool direct;  // the packed rows themselves are read: no tile
    const wn_gemm_kernels *bf16;  // what multiplies a panel of the tile's values with those of the input; NULL: nothing
    size_t row, rows;
} wn_side;

static void wn_open_side(wn_side *side, const wn_product_table *table, const wn_matrix *matrix, const wn_input *input,
                         size_t row, size_t rows, unsigned char *memory) {
    side->matrix = matrix;
    side->input = input;
    side->row = row;
    side->rows = rows;
    side->direct = false;
    side->bf16 = NULL;
    wn_place_tile(&side->tile, matrix, rows, input->kind, memory);
    if (input->kind == WN_INPUT_F32) {
        side->bf16 = wn_takes_bf16(input);
        // For many tokens a row is converted once.
        bool plain = matrix->format == WN_F16 || matrix->format == WN_BF16 || matrix->format == WN_F32;
        side->direct = table->dot_half && plain && input->tokens < 4;
        if (side->direct) return;
        for (size_t r = 0; r < rows; r++) wn_read_row(table, matrix, row + r, side->tile.values + r * matrix->columns);
        if (!side->bf16) return;
        wn_view weights = {side->tile.values, 1, matrix->columns};
        side->bf16->pack_columns(weights, rows, matrix->columns, side->tile.values + WN_TILE_ROWS * side->tile.stride);
    } else {
        table->unpack_codes(matrix, row, rows, &side->tile);
    }
}

static void wn_dot_side(const wn_side *side, const wn_product_table *table, size_t first, size_t tokens, float *out) {
    switch (side->input->kind) {
    case WN_INPUT_F32:
        if (side->bf16) {
            const wn_input *in = side->input;
            const int16_t *panel = in->wide + (in->first + first) * wn_round_up(in->columns, 32);
            side->bf16->multiply(panel, side->tile.values + WN_TILE_ROWS * side->tile.stride, tokens, side->rows, in->columns,
                                 out, WN_TILE_ROWS, false);
        } else if (side->direct) {
            table->dot_half(side->matrix, side->row, side->rows, side->input, first, tokens, out);
        } else {
            table->dot_f32(&side->tile, side->input, first, tokens, out);
        }
        break;
    case WN_INPUT_BLOCK8: table->dot_block8(&side->tile, side->input, first, tokens, out); break;
    default:
        if (wn_is_by_row(side->matrix)) {
            table->dot_planes16_rows(&side->tile, side->input, first, tokens, out);
        } else {
            table->dot_planes16(&side->tile, side->input, first, tokens, out);
        }
        break;
    }
}

// What an epilogue makes of values beside their gates.
static void wn_activate(const wn_product_table *table, int32_t epilogue, float *y, const float *gate, size_t count) {
    switch (epilogue) {
    case WN_GATED_SILU: table->silu_multiply(gate, y, y, count); break;
    case WN_GATED_GELU: wn_gelu_multiply(gate, y, y, count); break;
    case WN_GELU: wn_gelu_multiply(y, NULL, y, count); break;
    case WN_GATED_GELU_ERF: wn_gelu_erf_multiply(gate, y, y, count); break;
    case WN_GELU_ERF: wn_gelu_erf_multiply(y, NULL, y, count); break;
    case WN_RELU:
        for (size_t i = 0; i < count; i++) y[i] = y[i] < 0 ? 0 : y[i];  // NaN stays NaN
        break;
    default: break;
    }
}

// into[i] (+)= x[i] for the rows of a tile; a whole one in vectors.
typedef float wn_tile_row __attribute__((vector_size(4 * WN_TILE_ROWS), aligned(4), may_alias));

static inline void wn_put_rows(float *into, const float *x, size_t rows, bool adds) {
    if (rows == WN_TILE_ROWS) {
        const wn_tile_row values = *(const wn_tile_row *)x;
        *(wn_tile_row *)into = adds ? *(const wn_tile_row *)into + values : values;
    } else {
        for (size_t r = 0; r < rows; r++) into[r] = adds ? into[r] + x[r] : x[r];
    }
}

static void wn_finish(const wn_product *product, const wn_product_table *table, size_t row, size_t rows, size_t first,
                      size_t tokens, float *y, const float *gate) {
    for (size_t t = 0; product->bias && t < tokens; t++) {
        wn_put_rows(y + t * WN_TILE_ROWS, product->bias + row, rows, true);
    }
    if (product->epilogue != WN_STORE && product->epilogue != WN_ADD) {
        // A whole tile at once: what one value waits for, another's steps fill.
        size_t runs = rows == WN_TILE_ROWS ? 1 : tokens, count = rows == WN_TILE_ROWS ? tokens * rows : rows;
        for (size_t t = 0; t < runs; t++) {
            const float *gates = product->gate ? gate + t * WN_TILE_ROWS : NULL;
            wn_activate(table, product->epilogue, y + t * WN_TILE_ROWS, gates, count);
        }
    }
    float *out = product->out + first * product->out_stride + (row - product->row_begin);
    for (size_t t = 0; t < tokens; t++, out += product->out_stride) {
        wn_put_rows(out, y + t * WN_TILE_ROWS, rows, product->epilogue == WN_ADD);
    }
}

// Rows through `decode`: no tile.
static void wn_packed_rows(const wn_product_table *table, const wn_product *product, size_t row, size_t rows, float *y,
                           float *gate_y) {
    wn_input one;
    for (size_t t = 0; t < product->input->tokens; t++) {
        wn_input_rows(product->input, t, 1, &one);
        table->decode(product->matrix, row, rows, &one, y);
        if (product->gate) {
            wn_input_rows(product->gate_input, t, 1, &one);
            table->decode(product->gate, row, rows, &one, gate_y);
        }
        wn_finish(product, table, row, rows, t, 1, y, gate_y);
    }
}

// ---- Few weights, many tokens ------------------------------------------------------------------------------
// What lists a matrix for an input; NULL where nothing does.
static const wn_pair_table *wn_lists(const wn_product_table *table, const wn_matrix *matrix, const wn_input *input) {
    // Their order is of the whole: lists leave views of rows alone.
    if (input->kind != WN_INPUT_PLANES16 || input->tokens != input->whole || input->tokens < WN_PAIR_TOKENS) return NULL;
    return matrix->format == WN_MASKED_INT8 ? table->pairs : matrix->format == WN_BLOCK4_INT8 ? table->blocks : NULL;
}

static bool wn_takes_lists(const wn_product_table *table, const wn_matrix *matrix, const wn_input *input) {
    const wn_pair_table *lists = wn_lists(table, matrix, input);
    return lists && *input->paired == lists->arranged;
}

static bool wn_list_side(const wn_pair_table *table, const wn_matrix *matrix, size_t row, size_t rows,
                         wn_pair_list *list, unsigned char *memory) {
    list->capacity = wn_pair_capacity(matrix->columns);
    size_t width = table->arranged == WN_ARRANGED_PAIRS ? 2 : 4;
    // Blocks along the columns leave as many pairs as weights, every other mask more.
    if (matrix->row_offsets[row + rows] - matrix->row_offsets[row] > 2 * list->capacity) return false;
    size_t entries = wn_round_up(list->capacity + 128, 64);
    list->rows = rows;
    list->runs = (wn_round_up(matrix->columns, 64) / width + table->run - 1) / table->run;
    list->sums = (int32_t *)memory;
    list->own = list->sums + WN_PAIR_ROWS * WN_TOKEN_BLOCK;
    list->places = (uint16_t *)(list->own + entries);
    list->starts = (uint32_t *)(list->places + entries);
    return table->list(matrix, row, rows, list);
}

// Up to WN_PAIR_ROWS rows through lists of what is not zero; false: the dense tile is faster.
static bool wn_pair_rows(const wn_product_table *table, const wn_product *product, size_t row, size_t rows,
                         unsigned char *scratch) {
    size_t bytes = wn_list_bytes(product->matrix->columns), tokens = product->input->tokens;
    const wn_pair_table *lists = wn_lists(table, product->matrix, product->input);
    const wn_pair_table *gates = product->gate ? wn_lists(table, product->gate, product->gate_input) : NULL;
    wn_pair_list main, gate;
    if (!wn_list_side(lists, product->matrix, row, rows, &main, scratch)) return false;
    if (gates && !wn_list_side(gates, product->gate, row, rows, &gate, scratch + bytes)) return false;
    float *y = (float *)(scratch + 2 * bytes), *gate_y = y + WN_TOKEN_BLOCK * WN_TILE_ROWS;
    for (size_t first = 0; first < tokens; first += WN_TOKEN_BLOCK) {
        size_t count = tokens - first < WN_TOKEN_BLOCK ? tokens - first : WN_TOKEN_BLOCK;
        lists->sum(&main, product->input, first);
        if (gates) gates->sum(&gate, product->gate_input, first);
        for (size_t r = 0; r < rows; r += WN_TILE_ROWS) {
            lists->values(&main, r, product->input, first, y);
            if (gates) gates->values(&gate, r, product->gate_input, first, gate_y);
            size_t high = rows - r < WN_TILE_ROWS ? rows - r : WN_TILE_ROWS;
            wn_finish(product, table, row + r, high, first, count, y, gate_y);
        }
    }
    return true;
}

typedef struct wn_arrange_job {
    void (*arrange)(wn_input *input, size_t first);
    wn_input input;
} wn_arrange_job;

static void wn_arrange_chunk(void *context, size_t chunk, size_t worker) {
    (void)worker;
    wn_arrange_job *job = context;
    job->arrange(&job->input, 16 * chunk);
}

// Whether packed rows are read themselves, a token after another.
static bool wn_is_packed(const wn_product_table *table, const wn_product *product) {
    return wn_decodes(table, product->matrix, product->input)
           && (!product->gate || wn_decodes(table, product->gate, product->gate_input));
}

// Once an input, whole, for the first product that asks for it: then `filled` says in what order.
static void wn_arrange_once(wn_pool *pool, const wn_input *input, void (*arrange)(wn_input *input, size_t first),
                            int32_t *filled, int32_t order) {
    if (*filled) return;
    wn_arrange_job job = {arrange, *input};
    wn_input_whole(&job.input);
    wn_pool_run(pool, (job.input.tokens + 15) / 16, wn_arrange_chunk, &job);
    *filled = order;
}

static void wn_arrange(wn_pool *pool, const wn_product_table *table, const wn_matrix *matrix, const wn_input *input) {
    const wn_pair_table *lists = wn_lists(table, matrix, input);
    wn_bf16 bf16 = wn_wants_bf16(input) ? wn_bf16_current() : WN_BF16_ROUNDED;
    if (lists) {
        wn_arrange_once(pool, input, lists->arrange, &input->paired[0], lists->arranged);
    } else if (wn_in_tokens(table, matrix, input)) {
        bool planes = input->kind == WN_INPUT_PLANES16;
        wn_arrange_once(pool, input, planes ? table->arrange_planes : table->arrange_block8, &input->paired[planes],
                        WN_ARRANGED_TOKENS);
    } else if (bf16 != WN_BF16_ROUNDED) {
        wn_arrange_once(pool, input, wn_arrange_bf16, &input->paired[0], WN_ARRANGED_BF16 + (int32_t)bf16);
    }
}

static void wn_product_rows(const wn_product_table *table, const wn_product *product, size_t begin, size_t end,
                            unsigned char *scratch) {
    if (wn_takes_lists(table, product->matrix, product->input)
        && (!product->gate || wn_takes_lists(table, product->gate, product->gate_input))) {
        for (; begin < end; begin += WN_PAIR_ROWS) {
            size_t rows = end - begin < WN_PAIR_ROWS ? end - begin : WN_PAIR_ROWS;
            if (!wn_pair_rows(table, product, begin, rows, scratch)) break;
        }
    }
    size_t columns = product->matrix->columns, tokens = product->input->tokens;
    bool packed = wn_is_packed(table, product);
    size_t at_once = packed ? WN_DECODE_ROWS : wn_tile_rows(columns, product->input->kind, tokens);
    unsigned char *second = scratch + wn_tile_bytes(columns);
    float *y = (float *)(second + wn_tile_bytes(columns));
    float *gate_y = y + WN_TOKEN_BLOCK * WN_TILE_ROWS;
    for (size_t row = begin; row < end; row += at_once) {
        size_t rows = end - row < at_once ? end - row : at_once;
        if (packed) {
            wn_packed_rows(table, product, row, rows, y, gate_y);
            continue;
        }
        wn_side main, gate;
        wn_open_side(&main, table, product->matrix, product->input, row, rows, scratch);
        if (product->gate) wn_open_side(&gate, table, product->gate, product->gate_input, row, rows, second);
        for (size_t first = 0; first < tokens; first += WN_TOKEN_BLOCK) {
            size_t count = tokens - first < WN_TOKEN_BLOCK ? tokens - first : WN_TOKEN_BLOCK;
            wn_dot_side(&main, table, first, count, y);
            if (product->gate) wn_dot_side(&gate, table, first, count, gate_y);
            wn_finish(product, table, row, rows, first, count, y, gate_y);
        }
    }
}

typedef struct wn_products_job {
    const wn_product_table *table;
    const wn_product *products;
    size_t count;
    size_t chunk_rows;
    wn_pool *pool;
} wn_products_job;

static size_t wn_product_height(const wn_product *product) {
    return product->input->tokens == 0 ? 0 : product->row_end - product->row_begin;
}

static size_t wn_product_chunks(const wn_product *product, size_t chunk_rows) {
    return (wn_product_height(product) + chunk_rows - 1) / chunk_rows;
}

static void wn_products_chunk(void *context, size_t chunk, size_t worker) {
    const wn_products_job *job = context;
    const wn_product *product = job->products;
    size_t chunks = wn_product_chunks(product, job->chunk_rows);
    while (chunk >= chunks) {
        chunk -= chunks;
        product++;
        chunks = wn_product_chunks(product, job->chunk_rows);
    }
    size_t begin = product->row_begin + chunk * job->chunk_rows, end = begin + job->chunk_rows;
    if (end > product->row_end) end = product->row_end;
    wn_product_rows(job->table, product, begin, end, wn_pool_scratch(job->pool, worker));
}

void wn_products(wn_pool *pool, const wn_product *products, size_t count) {
    size_t rows = 0;
    for (size_t i = 0; i < count; i++) rows += wn_product_height(&products[i]);
    if (rows == 0) return;
    const wn_product_table *table = wn_product_functions();
    for (size_t i = 0; i < count; i++) {
        if (wn_product_height(&products[i]) == 0 || wn_is_packed(table, &products[i])) continue;
        wn_arrange(pool, table, products[i].matrix, products[i].input);
        if (products[i].gate) wn_arrange(pool, table, products[i].gate, products[i].gate_input);
    }
    // Small enough that threads end together, large enough that claiming costs nothing: about 16 chunks a thread.
    size_t chunk_rows = wn_round_up(rows / (16 * wn_pool_threads(pool)) + 1, 16);
    if (chunk_rows > 256) chunk_rows = 256;
    wn_products_job job = {table, products, count, chunk_rows, pool};
    size_t chunks = 0;
    for (size_t i = 0; i < count; i++) chunks += wn_product_chunks(&products[i], chunk_rows);
    wn_pool_run(pool, chunks, wn_products_chunk, &job);
}

// ---- Rows ------------------------------------------------------------------------------------------------
void wn_row_f32(const wn_matrix *matrix, size_t row, float *out) {
    wn_read_row(wn_product_functions(), matrix, row, out);
}

typedef struct wn_rows_job {
    const wn_product_table *table;
    const wn_matrix *matrix;
    size_t begin, end;
    float *out;
} wn_rows_job;

static void wn_rows_chunk(void *context, size_t chunk, size_t worker) {
    (void)worker;
    const wn_rows_job *job = context;
    size_t begin = job->begin + chunk * 16, end = begin + 16;
    if (end > job->end) end = job->end;
    for (size_t row = begin; row < end; row++) {
        wn_read_row(job->table, job->matrix, row, job->out + (row - job->begin) * job->matrix->columns);
    }
}

void wn_rows_f32(wn_pool *pool, const wn_matrix *matrix, size_t row_begin, size_t row_end, float *out) {
    wn_rows_job job = {wn_product_functions(), matrix, row_begin, row_end, out};
    wn_pool_run(pool, (row_end - row_begin + 15) / 16, wn_rows_chunk, &job);
}
