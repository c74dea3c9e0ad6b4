// Running cases in a child process, so that a trap is a failed case and the table of kernels is the child's own.
#define _DEFAULT_SOURCE
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cases.h"

void wn_fail(wn_case_run *run, const char *format, ...) {
    if (!run->result->passed) return;
    run->result->passed = false;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(run->result->message, sizeof run->result->message, format, arguments);
    va_end(arguments);
}

void wn_expect_near(wn_case_run *run, const char *what, size_t index, double actual, double expected, double allowed) {
    if (actual == expected || (isnan(actual) && isnan(expected))) return;
    double error = fabs(actual - expected), share = allowed > 0 ? error / allowed : INFINITY;
    if (share > run->result->share) run->result->share = share;
    // Written so that a NaN fails.
    if (!(error <= allowed)) {
        wn_fail(run, "%s[%zu] is %.9g, not %.9g (allowed %.3g)", what, index, actual, expected, allowed);
    }
}

void wn_expect_same(wn_case_run *run, const char *what, const void *actual, const void *expected, size_t bytes) {
    const unsigned char *a = actual, *b = expected;
    for (size_t i = 0; i < bytes; i++) {
        if (a[i] == b[i]) continue;
        wn_fail(run, "%s: byte %zu of %zu differs", what, i, bytes);
        return;
    }
}

enum { WN_CANNOT_START = 113, WN_CASE_SECONDS = 900 };  // an emulator is slow; a pool that never ends is an error all the same

typedef struct wn_board {
    volatile size_t at;
    wn_case_result results[];
} wn_board;

static void run_one(const wn_case *c, wn_isa isa, wn_pool *const *pools, wn_case_result *result) {
    static void (*const families[WN_CASE_FAMILY_COUNT])(wn_case_run *) = {
        wn_run_product, wn_run_gated, wn_run_input, wn_run_convert, wn_run_elementwise,
        wn_run_attention, wn_run_logits, wn_run_select, wn_run_statistics,
        wn_run_optimize, wn_run_train, wn_run_linear, wn_run_probe,
    };
    result->passed = true;
    result->share = 0;
    wn_case_run run = {.c = c, .result = result, .dice = {c->seed}, .isa = isa, .pools = pools};
    families[c->family](&run);
    if (!wn_yard_untouched(&run.yard)) wn_fail(&run, "something was written in front of a buffer");
    wn_yard_free(&run.yard);
}

static void run_child(wn_isa isa, const wn_case *cases, size_t count, wn_board *board) {
    alarm(WN_CASE_SECONDS);
    if (!wn_isa_select(isa)) _exit(WN_CANNOT_START);
    wn_pool *pools[3] = {wn_pool_create(1), wn_pool_create(2), wn_pool_create(4)};
    if (!pools[0] || !pools[1] || !pools[2]) _exit(WN_CANNOT_START);
    for (size_t i = board->at; i < count; i++) {
        board->at = i;
        run_one(&cases[i], isa, pools, &board->results[i]);
    }
    for (size_t i = 0; i < 3; i++) wn_pool_destroy(pools[i]);
    board->at = count;
    _exit(0);
}

bool wn_cases_run(wn_isa isa, const wn_case *cases, size_t count, wn_case_result *results) {
    if (!wn_isa_available(isa)) return false;
    size_t bytes = sizeof(wn_board) + count * sizeof(wn_case_result);
    wn_board *board = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED) return false;
    bool started = true;
    while (started && board->at < count) {
        pid_t child = fork();
        if (child == 0) run_child(isa, cases, count, board);
        int status = 0;
        started = child > 0 && waitpid(child, &status, 0) == child;
        if (!started || board->at == count) break;
        if (WIFEXITED(status) && WEXITSTATUS(status) == WN_CANNOT_START) {
            started = false;
            break;
        }
        // The child stopped inside a case: the next child takes up after it.
        wn_case_result *result = &board->results[board->at];
        result->passed = false;
        snprintf(result->message, sizeof result->message, "stopped by signal %d (a trap means a buffer was left)",
                 WIFSIGNALED(status) ? WTERMSIG(status) : 0);
        board->at++;
    }
    if (started) memcpy(results, board->results, count * sizeof(wn_case_result));
    munmap(board, bytes);
    return started;
}
