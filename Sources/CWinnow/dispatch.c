// The instruction set is chosen once: the best this CPU has, or WINNOW_ISA.
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#ifndef HWCAP_ASIMDDP
#define HWCAP_ASIMDDP (1 << 20)
#endif
#endif

#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "probes.h"
#include "products.h"

static atomic_int current = -1;
// What this thread asked for, -1 for nothing: jobs take their table from the thread that starts them.
static _Thread_local int local = -1;

bool wn_isa_available(wn_isa isa) {
    switch (isa) {
    case WN_ISA_SCALAR: return true;
#if defined(__x86_64__)
    case WN_ISA_AVX2:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c")
               && __builtin_cpu_supports("bmi2");
    case WN_ISA_AVX512:
        return wn_isa_available(WN_ISA_AVX2) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
               && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")
               && __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vbmi")
               && __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("avx512vpopcntdq")
               && __builtin_cpu_supports("avx512bitalg");
#endif
#if defined(__aarch64__)
    case WN_ISA_NEON: return true;
#endif
    default: return false;
    }
}

const char *wn_isa_name(wn_isa isa) {
    static const char *const names[] = {"scalar", "avx2", "avx512", "neon"};
    return isa <= WN_ISA_NEON ? names[isa] : "unknown";
}

static wn_isa wn_isa_first(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
#endif
    const char *wanted = getenv("WINNOW_ISA");
    for (int isa = WN_ISA_NEON; wanted && isa >= 0; isa--) {
        if (strcmp(wanted, wn_isa_name((wn_isa)isa)) == 0 && wn_isa_available((wn_isa)isa)) return (wn_isa)isa;
    }
    for (int isa = WN_ISA_NEON; isa > 0; isa--) {
        if (wn_isa_available((wn_isa)isa)) return (wn_isa)isa;
    }
    return WN_ISA_SCALAR;
}

wn_isa wn_isa_current(void) {
    if (local >= 0) return (wn_isa)local;
    int isa = atomic_load_explicit(&current, memory_order_relaxed);
    if (isa < 0) {
        isa = (int)wn_isa_first();
        atomic_store_explicit(&current, isa, memory_order_relaxed);
    }
    return (wn_isa)isa;
}

bool wn_isa_select(wn_isa isa) {
    if (!wn_isa_available(isa)) return false;
    atomic_store_explicit(&current, (int)isa, memory_order_relaxed);
    return true;
}

bool wn_isa_select_local(int isa) {
    if (isa >= 0 && !wn_isa_available((wn_isa)isa)) return false;
    local = isa < 0 ? -1 : isa;
    return true;
}

// ---- bfloat16 --------------------------------------------------------------------------------------------------
static _Thread_local int local_bf16 = -1;

#if defined(__x86_64__)
// Tiles need the system's leave, once a process: it keeps 8 KiB more for each thread that uses them.
static bool wn_has_tiles(void) {
#if defined(__linux__)
    static atomic_int known = -1;
    int has = atomic_load_explicit(&known, memory_order_relaxed);
    if (has < 0) {
        enum { WN_ASK_FOR_STATE = 0x1023, WN_TILE_DATA = 18 };  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
        has = __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-bf16")
              && syscall(SYS_arch_prctl, WN_ASK_FOR_STATE, WN_TILE_DATA) == 0;
        atomic_store_explicit(&known, has, memory_order_relaxed);
    }
    return has;
#else
    return false;
#endif
}
#endif

bool wn_bf16_available(wn_bf16 kind) {
    if (kind == WN_BF16_ROUNDED) return true;
#if defined(__x86_64__)
    bool pairs = wn_isa_current() == WN_ISA_AVX512 && __builtin_cpu_supports("avx512bf16");
    if (kind == WN_BF16_PAIRS) return pairs;
    if (kind == WN_BF16_TILES) return pairs && wn_has_tiles();  // numbers are rounded by AVX512_BF16
#endif
    return false;
}

static bool wn_is_intel(void) {
#if defined(__x86_64__)
    return __builtin_cpu_is("intel");
#else
    return false;
#endif
}

wn_bf16 wn_bf16_current(void) {
    if (local_bf16 >= 0) return (wn_bf16)local_bf16;
    if (wn_bf16_available(WN_BF16_TILES)) return WN_BF16_TILES;
    // Intel's cores take two pairs in the time of four multiplications in float32 (Sapphire Rapids), others half of that.
    return wn_bf16_available(WN_BF16_PAIRS) && !wn_is_intel() ? WN_BF16_PAIRS : WN_BF16_ROUNDED;
}

bool wn_bf16_select_local(int kind) {
    if (kind >= 0 && !wn_bf16_available((wn_bf16)kind)) return false;
    local_bf16 = kind < 0 ? -1 : kind;
    return true;
}

#if defined(__aarch64__)
// Dot products of bytes (FEAT_DotProd): every Apple core, and ARM's own since about 2018.
bool wn_has_byte_dot(void) {
#if defined(__APPLE__)
    return true;
#elif defined(__linux__)
    return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#else
    return false;
#endif
}
#endif

const wn_product_table *wn_product_functions(void) {
    switch (wn_isa_current()) {
#if defined(__x86_64__)
    case WN_ISA_AVX512: return &wn_products_avx512;
    case WN_ISA_AVX2: return &wn_products_avx2;
#endif
#if defined(__aarch64__)
    case WN_ISA_NEON: return wn_has_byte_dot() ? &wn_products_neon_dot : &wn_products_neon;
#endif
    default: return &wn_products_scalar;
    }
}
