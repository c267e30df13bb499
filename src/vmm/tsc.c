#include "vmm/tsc.h"

#include "util/parse.h"
#include "util/time.h"
#include "vmm/boot_cache.h"

#include <stdio.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>

#define MEASURE_NS (5 * NS_PER_MS) /* 50 ns of uncertainty at each end: 20 ppm */

/* Intel SDM, CPUID leaf 15H: the core crystal's rate and the TSC's ratio to it. */
static uint64_t from_leaf_15(void)
{
    unsigned denominator, numerator, hz, d;

    if (!__get_cpuid(0x15, &denominator, &numerator, &hz, &d) || !denominator || !numerator)
        return 0;
    return (uint64_t)hz * numerator / denominator / 1000;
}

/* Leaf 40000010H of VMware, KVM and others: EAX is the TSC's rate in kHz. */
static uint64_t from_hypervisor(void)
{
    unsigned max, khz, b, c, d;

    __cpuid(1, max, b, c, d);
    if (!(c & (1U << 31)))
        return 0;
    __cpuid(0x40000000, max, b, c, d);
    if (max < 0x40000010 || max > 0x4000ffff)
        return 0;
    __cpuid(0x40000010, khz, b, c, d);
    return khz;
}

/* Both clocks at one moment: the tightest of a few tries. */
static uint64_t sample(uint64_t *ret_ns)
{
    uint64_t best = UINT64_MAX, tsc = 0;

    for (int i = 0; i < 16; i++) {
        uint64_t before = time_mono_ns(), t = __rdtsc(), after = time_mono_ns();

        if (after - before < best) {
            best = after - before;
            tsc = t;
            *ret_ns = before + best / 2;
        }
    }
    return tsc;
}

static uint64_t measured(void)
{
    uint64_t start_ns = 0, end_ns = 0, start = sample(&start_ns), end;

    while (time_mono_ns() - start_ns < MEASURE_NS)
        __builtin_ia32_pause();
    end = sample(&end_ns);
    return (end - start) * 1000000 / (end_ns - start_ns);
}

uint64_t tsc_khz(const char *cache_dir)
{
    uint64_t khz = from_leaf_15();
    struct err ignored;
    char text[32];

    if (!khz)
        khz = from_hypervisor();
    if (khz)
        return khz;
    if (boot_cache_get(cache_dir, "tsc-khz", "tsc", text, sizeof(text)) &&
        parse_u64(text, 1000, 100000000, &khz, &ignored) == 0)
        return khz;
    khz = measured();
    (void)snprintf(text, sizeof(text), "%ju", (uintmax_t)khz);
    boot_cache_put(cache_dir, "tsc-khz", "tsc", text);
    return khz;
}

#else

uint64_t tsc_khz(const char *cache_dir)
{
    (void)cache_dir;
    return 0;
}

#endif
