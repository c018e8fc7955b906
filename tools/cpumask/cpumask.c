/* LD_PRELOAD this into a process whose library mask.py has treated: every CPUID instruction of that library traps here,
 * and is answered with the features that CPUMASK names taken away. The library runs at native speed and believes to be
 * on a lesser x86 processor.
 *
 *   CPUMASK=vnni     no VNNI and no AMX (with AVX-512: Skylake server)
 *   CPUMASK=avx512   nor AVX-512 (Haswell)
 *   CPUMASK=avx2     nor AVX2, FMA and F16C (Sandy Bridge)
 *   CPUMASK=avx      nor AVX (Nehalem)
 *
 * Bits as in Intel's Software Developer's Manual, volume 2A, CPUID. Linux on x86-64 alone. */
#define _GNU_SOURCE
#include <cpuid.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#define BIT(number) (1u << (number))

static const char *const LEVELS[] = {"none", "vnni", "avx512", "avx2", "avx"};
static unsigned level;

static void on_trap(int signal, siginfo_t *info, void *context) {
    (void)signal;
    (void)info;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    unsigned leaf = registers[REG_RAX], subleaf = registers[REG_RCX], a, b, c, d;
    __cpuid_count(leaf, subleaf, a, b, c, d);
    if (leaf == 7 && subleaf == 0) {
        if (level >= 1) {
            c &= ~BIT(11);                        /* AVX512_VNNI */
            d &= ~(BIT(22) | BIT(24) | BIT(25)); /* AMX-BF16, -TILE, -INT8 */
        }
        if (level >= 2) { /* AVX512F, DQ, IFMA, CD, BW, VL; VBMI, VBMI2, BITALG, VPOPCNTDQ; VP2INTERSECT, FP16 */
            b &= ~(BIT(16) | BIT(17) | BIT(21) | BIT(28) | BIT(30) | BIT(31));
            c &= ~(BIT(1) | BIT(6) | BIT(12) | BIT(14));
            d &= ~(BIT(8) | BIT(23));
        }
        if (level >= 3)
            b &= ~BIT(5); /* AVX2 */
    }
    if (leaf == 7 && subleaf == 1 && level >= 1) {
        a &= ~(BIT(4) | BIT(5));             /* AVX-VNNI, AVX512_BF16 */
        d &= ~(BIT(4) | BIT(5) | BIT(10)); /* AVX-VNNI-INT8, AVX-NE-CONVERT, AVX-VNNI-INT16 */
    }
    if (leaf == 1 && level >= 3)
        c &= ~(BIT(12) | BIT(29)); /* FMA, F16C */
    if (leaf == 1 && level >= 4)
        c &= ~(BIT(27) | BIT(28)); /* OSXSAVE, AVX */
    registers[REG_RAX] = a;
    registers[REG_RBX] = b;
    registers[REG_RCX] = c;
    registers[REG_RDX] = d;
    registers[REG_RIP] += 1; /* int3 was one byte of two */
}

__attribute__((constructor)) static void begin(void) {
    const char *wanted = getenv("CPUMASK");
    unsigned count = sizeof LEVELS / sizeof *LEVELS;
    for (level = 0; wanted && level < count && strcmp(wanted, LEVELS[level]); level++)
        ;
    if (level == count) {
        fprintf(stderr, "CPUMASK: expected none, vnni, avx512, avx2 or avx, found %s\n", wanted);
        exit(2);
    }
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_trap;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigaction(SIGTRAP, &action, NULL);
}
