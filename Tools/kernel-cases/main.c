// Runs the kernel cases alone, for builds that are not Swift's: another instruction set under an emulator, sanitizers.
// Usage: kernel-cases [-v] [ISA ...]; without a name, every set this CPU has. Status 1 when a case fails.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wn_cases.h"

// One family, `count` cases of it; a line of what became of them, and at most ten failures unless `verbose`.
static bool run_family(wn_isa isa, const wn_case *cases, size_t count, wn_case_result *results, bool verbose) {
    if (!wn_cases_run(isa, cases, count, results)) {
        printf("%s: the cases cannot be started\n", wn_isa_name(isa));
        return false;
    }
    size_t failed = 0;
    double share = 0;
    for (size_t i = 0; i < count; i++) {
        if (results[i].share > share) share = results[i].share;
        if (results[i].passed) continue;
        if (failed++ < 10 || verbose) printf("%s: %s: %s\n", wn_isa_name(isa), cases[i].name, results[i].message);
    }
    printf("%-7s %-12s %5zu cases, %zu failed, largest error %.2f of what is allowed\n", wn_isa_name(isa),
           wn_case_family_name(cases->family), count, failed, share);
    fflush(stdout);
    return failed == 0;
}

int main(int count, char **arguments) {
    size_t cases = wn_case_list(NULL, 0);
    wn_case *list = calloc(cases, sizeof *list);
    wn_case_result *results = calloc(cases, sizeof *results);
    if (!list || !results) return 1;
    wn_case_list(list, cases);
    bool verbose = count > 1 && strcmp(arguments[1], "-v") == 0, good = true, named = count > (verbose ? 2 : 1);
    for (int isa = WN_ISA_SCALAR; isa <= WN_ISA_NEON; isa++) {
        bool wanted = !named && wn_isa_available((wn_isa)isa);
        for (int i = 1; i < count; i++) wanted |= strcmp(arguments[i], wn_isa_name((wn_isa)isa)) == 0;
        // The list goes family by family.
        for (size_t first = 0, end; wanted && first < cases; first = end) {
            for (end = first; end < cases && list[end].family == list[first].family; end++) {}
            good &= run_family((wn_isa)isa, list + first, end - first, results, verbose);
        }
    }
    free(list);
    free(results);
    return good ? 0 : 1;
}
