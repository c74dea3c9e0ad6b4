// Runs the kernel cases alone, for builds that are not Swift's: another instruction set under an emulator, sanitizers.
// Usage: kernel-cases [-v] [ISA ...]; without a name, every set this CPU has. Status 1 when a case fails.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wn_cases.h"

static bool run(wn_isa isa, const wn_case *cases, size_t count, wn_case_result *results, bool verbose) {
    if (!wn_cases_run(isa, cases, count, results)) {
        printf("%s: the cases cannot be started\n", wn_isa_name(isa));
        return false;
    }
    size_t failed[WN_CASE_FAMILY_COUNT] = {0}, all[WN_CASE_FAMILY_COUNT] = {0}, bad = 0;
    double share[WN_CASE_FAMILY_COUNT] = {0};
    for (size_t i = 0; i < count; i++) {
        wn_case_family family = cases[i].family;
        all[family]++;
        if (results[i].share > share[family]) share[family] = results[i].share;
        if (results[i].passed) continue;
        failed[family]++;
        bad++;
        if (verbose || failed[family] <= 10) printf("%s: %s: %s\n", wn_isa_name(isa), cases[i].name, results[i].message);
    }
    for (int family = 0; family < WN_CASE_FAMILY_COUNT; family++) {
        printf("%-7s %-12s %5zu cases, %zu failed, largest error %.2f of what is allowed\n", wn_isa_name(isa),
               wn_case_family_name((wn_case_family)family), all[family], failed[family], share[family]);
    }
    return bad == 0;
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
        if (wanted) good &= run((wn_isa)isa, list, cases, results, verbose);
        fflush(stdout);
    }
    free(list);
    free(results);
    return good ? 0 : 1;
}
