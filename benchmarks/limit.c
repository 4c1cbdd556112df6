/* The practical limit of a processor: the same populations as throughput.py, written by hand in C.
 *
 * W1  the squid giant axon of 1952 with fixed reversal potentials.
 * W2  the same channels with a sodium-potassium pump and leaks of Na+, K+ and Cl-; Na+ and K+ inside are dynamic and
 *     renewed at every step.
 *
 * What makes it fast, and what a general engine has to compete with:
 *   - a block of cells stays in the first-level cache while time runs in the inner loop, one cell per vector lane;
 *   - all six rates from two exponentials (the rates' slopes are multiples of 1/80 and 1/18 per mV);
 *   - relaxations by the Pade [2/2] form of the exponential, which has no exponential in it;
 *   - no branches: the rates' removable singularities at -40 and -55 mV are not guarded, no charge is accounted for, no
 *     cell is looked after. It is a limit, not a simulator to trust.
 *
 * Build:  cc -O3 -march=native -fopenmp-simd -mprefer-vector-width=512 -DREAL=float -DLANES=64 limit.c     (-ffast-math may
 *         be added for float; it breaks the rounding in log_f64)
 * Run:    ./a.out W1|W2 CELLS STEPS       prints one line of JSON; one thread; 10 uA/cm2, dt 0.025 ms, v kept every 1 ms
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifndef REAL
#define REAL float
#endif
#ifndef LANES
#define LANES 64 /* cells of a block */
#endif
#define INLINE static inline __attribute__((always_inline))
#define K(x) ((real)(x))

typedef REAL real;

enum { SAMPLE_STEPS = 40 };

/* Elementary functions without branches or calls, so that the loop over lanes becomes vector code. The polynomials for
 * single precision are those of S. L. Moshier's Cephes library. */
INLINE float exp_f32(float x) {
    float whole = __builtin_rintf(x * 1.44269504f);
    float r = x - whole * 0.693359375f + whole * 2.12194440e-4f; /* ln 2 in two parts */
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    union { int32_t bits; float value; } scale = {.bits = ((int32_t)whole + 127) << 23};
    return p * scale.value;
}

INLINE double exp_f64(double x) {
    double whole = __builtin_rint(x * 1.4426950408889634);
    double r = x - whole * 0.693145751953125 - whole * 1.42860682030941723212e-6;
    double p = 1. / 479001600; /* Taylor to r^12, |r| < 0.35 */
    p = p * r + 1. / 39916800;
    p = p * r + 1. / 3628800;
    p = p * r + 1. / 362880;
    p = p * r + 1. / 40320;
    p = p * r + 1. / 5040;
    p = p * r + 1. / 720;
    p = p * r + 1. / 120;
    p = p * r + 1. / 24;
    p = p * r + 1. / 6;
    p = p * r + 1. / 2;
    p = p * r + 1;
    p = p * r + 1;
    union { double value; int64_t bits; } shifted = {.value = whole + 6755399441055744.0}; /* 1.5 * 2^52 */
    union { int64_t bits; double value; } scale = {.bits = (shifted.bits + 1023) << 52};
    return p * scale.value;
}

INLINE float log_f32(float x) {
    union { float value; int32_t bits; } u = {.value = x};
    int32_t exponent = ((u.bits >> 23) & 255) - 126;
    u.bits = (u.bits & 0x7fffff) | 0x3f000000; /* mantissa in [1/2, 1) */
    int32_t small = u.value < 0.70710678f;
    float m = (small ? u.value + u.value : u.value) - 1.0f, e = (float)(exponent - small), square = m * m;
    float p = 7.0376836292e-2f;
    p = p * m - 1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m - 1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m - 1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m - 2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    return m + (p * m * square - 2.12194440e-4f * e - 0.5f * square) + 0.693359375f * e;
}

INLINE double log_f64(double x) {
    union { double value; int64_t bits; } u = {.value = x};
    int64_t exponent = (u.bits - 0x3fe6a09e667f3bcdLL) >> 52; /* bits of sqrt(1/2): mantissa in [0.707, 1.414) */
    u.bits -= exponent << 52;
    union { int64_t bits; double value; } e = {.bits = exponent + 0x4338000000000000LL};
    double s = (u.value - 1) / (u.value + 1), z = s * s, p = 1. / 19;
    p = p * z + 1. / 17;
    p = p * z + 1. / 15;
    p = p * z + 1. / 13;
    p = p * z + 1. / 11;
    p = p * z + 1. / 9;
    p = p * z + 1. / 7;
    p = p * z + 1. / 5;
    p = p * z + 1. / 3;
    return (e.value - 6755399441055744.0) * 0.6931471805599453 + 2 * (s + s * z * p);
}

INLINE real fast_exp(real x) { return sizeof(real) == 4 ? (real)exp_f32((float)x) : (real)exp_f64((double)x); }
INLINE real fast_log(real x) { return sizeof(real) == 4 ? (real)log_f32((float)x) : (real)log_f64((double)x); }

/* x after dt, where dx/dt = gain - rate*x: the exponential replaced by its Pade [2/2] form. */
INLINE real relax(real x, real gain, real rate, real dt) {
    real z = dt * rate;
    return x + dt * (gain - rate * x) / (K(1) + z * (K(0.5) + z * K(1. / 12)));
}

typedef struct {
    real v[LANES], m[LANES], h[LANES], n[LANES];    /* mV, 1 */
    real g_na[LANES], g_k[LANES], g_leak[LANES];    /* mS/cm2 */
    real na[LANES], k[LANES];                       /* mM inside, W2 only */
} __attribute__((aligned(64))) Block;

/* W2: squid at 6.3 degC in a sphere of 10 um (surface/volume 0.3 per um); Na+ 50/440, K+ 400/20, Cl- 54.77/560 mM; leaks
 * 2 : 8 : 20 in 30 parts; pump 1.1 uA/cm2, half activations 30 (Hill number 3) and 3.5 mM (2); K+ carries the stimulus. */
static const double RT_F = 24.0796, E_CL = -55.986, NA_OUT = 440, K_OUT = 20;
static const double MM_PER_CHARGE = 10 * 0.3 / 96485.33; /* mM/ms per uA/cm2 */
static const double PUMP = 1.1 * 400 / (400 + 12.25);    /* with K+ outside clamped */

INLINE void step(Block *restrict b, real dt, real stimulus, const int pumped) {
#pragma omp simd aligned(b : 64)
    for (int i = 0; i < LANES; i++) {
        real v = b->v[i], m = b->m[i], h = b->h[i], n = b->n[i];
        real u = fast_exp((v + K(65)) * K(-1. / 80)), u2 = u * u, u4 = u2 * u2, u8 = u4 * u4;
        real a_m = K(0.1) * (v + K(40)) / (K(1) - K(12.182493960703473) * u8);    /* e^2.5 */
        real b_m = K(4) * fast_exp((v + K(65)) * K(-1. / 18));
        real a_h = K(0.07) * u4, b_h = K(1) / (K(1) + K(20.085536923187668) * u8); /* e^3 */
        real a_n = K(0.01) * (v + K(55)) / (K(1) - K(2.718281828459045) * u8), b_n = K(0.125) * u;
        b->m[i] = m = relax(m, a_m, a_m + b_m, dt);
        b->h[i] = h = relax(h, a_h, a_h + b_h, dt);
        b->n[i] = n = relax(n, a_n, a_n + b_n, dt);

        real g_na = b->g_na[i] * m * m * m * h, g_k = b->g_k[i] * n * n * n * n, g_leak = b->g_leak[i];
        if (pumped) {
            real na = b->na[i], k = b->k[i];
            real e_na = K(RT_F) * fast_log(K(NA_OUT) / na), e_k = K(RT_F) * fast_log(K(K_OUT) / k);
            real g_cl = g_leak * K(20. / 30), cubed = na * na * na, pump = K(PUMP) * cubed / (cubed + K(27000));
            g_na += g_leak * K(2. / 30), g_k += g_leak * K(8. / 30);
            b->na[i] = na - dt * K(MM_PER_CHARGE) * (g_na * (v - e_na) + K(3) * pump);
            b->k[i] = k - dt * K(MM_PER_CHARGE) * (g_k * (v - e_k) - K(2) * pump - stimulus);
            b->v[i] = relax(v, g_na * e_na + g_k * e_k + g_cl * K(E_CL) - pump + stimulus, g_na + g_k + g_cl, dt);
        } else {
            real gain = g_na * K(50) - g_k * K(77) - g_leak * K(54.387) + stimulus;
            b->v[i] = relax(v, gain, g_na + g_k + g_leak, dt);
        }
    }
}

static void start(Block *b, int first) {
    for (int i = 0; i < LANES; i++) {
        unsigned bits = (unsigned)(first + i) * 2654435761u; /* conductances varied by +-10 % */
        b->v[i] = -65, b->m[i] = K(0.0529325), b->h[i] = K(0.5961208), b->n[i] = K(0.3176769);
        b->g_na[i] = K(120) * (K(0.9) + K(0.2 / 1024) * (real)(bits & 1023));
        b->g_k[i] = K(36) * (K(0.9) + K(0.2 / 1024) * (real)((bits >> 10) & 1023));
        b->g_leak[i] = K(0.3) * (K(0.9) + K(0.2 / 1024) * (real)((bits >> 20) & 1023));
        b->na[i] = 50, b->k[i] = 400;
    }
}

INLINE void run(Block *b, real *samples, int rows, const int pumped) {
    for (int row = 0; row < rows; row++) {
        for (int j = 0; j < SAMPLE_STEPS; j++) step(b, K(0.025), K(10), pumped);
        memcpy(samples + (size_t)row * LANES, b->v, sizeof b->v);
    }
}

static double seconds(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int main(int count, char **words) {
    if (count != 4) return fprintf(stderr, "usage: %s W1|W2 CELLS STEPS\n", words[0]), 2;
    const int pumped = !strcmp(words[1], "W2"), cells = atoi(words[2]), steps = atoi(words[3]);
    const int blocks = (cells + LANES - 1) / LANES, rows = steps / SAMPLE_STEPS;
    const size_t size = (size_t)rows * LANES;
    real *samples = calloc(size * (size_t)blocks, sizeof(real)); /* touched now, not while the clock runs */
    if (!samples || rows < 2) return fprintf(stderr, "no memory, or fewer than %d steps\n", 2 * SAMPLE_STEPS), 1;
    memset(samples, 1, size * (size_t)blocks * sizeof(real));

    double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < blocks; i++) {
        Block b;
        start(&b, i * LANES);
        if (pumped) run(&b, samples + size * (size_t)i, rows, 1);
        else run(&b, samples + size * (size_t)i, rows, 0);
    }
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu, wall = seconds(CLOCK_MONOTONIC) - wall;

    long spikes = 0; /* seen in the samples, of the cells asked for: a check that it fires */
    for (int c = 0; c < cells; c++) {
        const real *of = samples + size * (size_t)(c / LANES) + c % LANES;
        for (int row = 1; row < rows; row++) spikes += of[(size_t)row * LANES] > -20 && of[(size_t)(row - 1) * LANES] <= -20;
    }
    printf("{\"cell_steps\": %.0f, \"cpu_seconds\": %.6f, \"wall_seconds\": %.6f, \"spikes_per_cell\": %.4f}\n",
           (double)blocks * LANES * rows * SAMPLE_STEPS, cpu, wall, (double)spikes / cells);
    free(samples);
    return 0;
}
