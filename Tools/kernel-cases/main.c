// Runs the kernel cases alone, for builds that are not Swift's: another instruction set under an emulator, sanitizers.
// Usage: kernel-cases [-v] [-l ISA] [ISA | FAMILY ...]; without a name, every set this CPU has and every family. Status 1
// when a case fails. -l is for an emulator that computes wrongly: a case that fails under ISA too, with the same words,
// is counted apart, for ISA is known to pass on a real CPU.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wn_cases.h"

typedef struct options {
    bool verbose, isas[WN_ISA_NEON + 1], families[WN_CASE_FAMILY_COUNT];
    int like;  // the set of -l, or -1
} options;

static bool fails_alike(const wn_case *c, int like, const wn_case_result *result) {
    wn_case_result other;
    return like >= 0 && wn_cases_run((wn_isa)like, c, 1, &other) && !other.passed
           && strcmp(other.message, result->message) == 0;
}

// One family, `count` cases of it; a line of what became of them, and at most ten failures unless verbose.
static bool run_family(const options *o, wn_isa isa, const wn_case *cases, size_t count, wn_case_result *results) {
    if (!wn_cases_run(isa, cases, count, results)) {
        printf("%s: the cases cannot be started\n", wn_isa_name(isa));
        return false;
    }
    size_t failed = 0, alike = 0;
    double share = 0;
    for (size_t i = 0; i < count; i++) {
        if (!results[i].passed && fails_alike(&cases[i], o->like, &results[i])) {
            alike++;
            if (o->verbose) printf("%s too: %s: %s\n", wn_isa_name((wn_isa)o->like), cases[i].name, results[i].message);
            continue;
        }
        if (results[i].share > share) share = results[i].share;
        if (results[i].passed) continue;
        if (failed++ < 10 || o->verbose) printf("%s: %s: %s\n", wn_isa_name(isa), cases[i].name, results[i].message);
    }
    printf("%-7s %-12s %5zu cases, %zu failed, largest error %.2f of what is allowed", wn_isa_name(isa),
           wn_case_family_name(cases->family), count, failed, share);
    if (alike) printf("; %zu more failed as %s does here", alike, wn_isa_name((wn_isa)o->like));
    printf("\n");
    fflush(stdout);
    return failed == 0;
}

static int isa_of(const char *name) {
    for (int isa = WN_ISA_SCALAR; isa <= WN_ISA_NEON; isa++) {
        if (strcmp(name, wn_isa_name((wn_isa)isa)) == 0) return isa;
    }
    return -1;
}

static int family_of(const char *name) {
    for (int family = 0; family < WN_CASE_FAMILY_COUNT; family++) {
        if (strcmp(name, wn_case_family_name((wn_case_family)family)) == 0) return family;
    }
    return -1;
}

static bool read_options(int count, char **arguments, options *o) {
    bool isas = false, families = false;
    for (int i = 1; i < count; i++) {
        int isa = isa_of(arguments[i]), family = family_of(arguments[i]);
        if (strcmp(arguments[i], "-v") == 0) {
            o->verbose = true;
        } else if (strcmp(arguments[i], "-l") == 0) {
            if (i + 1 == count || (o->like = isa_of(arguments[++i])) < 0) return false;
        } else if (isa >= 0) {
            o->isas[isa] = isas = true;
        } else if (family >= 0) {
            o->families[family] = families = true;
        } else {
            return false;
        }
    }
    for (int isa = WN_ISA_SCALAR; isa <= WN_ISA_NEON && !isas; isa++) o->isas[isa] = wn_isa_available((wn_isa)isa);
    for (int family = 0; family < WN_CASE_FAMILY_COUNT && !families; family++) o->families[family] = true;
    return true;
}

int main(int count, char **arguments) {
    options o = {.like = -1};
    if (!read_options(count, arguments, &o)) {
        fprintf(stderr, "usage: kernel-cases [-v] [-l ISA] [ISA | FAMILY ...]\n");
        return 2;
    }
    size_t cases = wn_case_list(NULL, 0);
    wn_case *list = calloc(cases, sizeof *list);
    wn_case_result *results = calloc(cases, sizeof *results);
    if (!list || !results) return 1;
    wn_case_list(list, cases);
    bool good = true;
    for (int isa = WN_ISA_SCALAR; isa <= WN_ISA_NEON; isa++) {
        // The list goes family by family.
        for (size_t first = 0, end; o.isas[isa] && first < cases; first = end) {
            for (end = first; end < cases && list[end].family == list[first].family; end++) {}
            if (o.families[list[first].family]) good &= run_family(&o, (wn_isa)isa, list + first, end - first, results);
        }
    }
    free(list);
    free(results);
    return good ? 0 : 1;
}
