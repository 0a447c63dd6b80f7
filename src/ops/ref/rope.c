/* rope.c - reference: rotary position embedding (Su et al. 2021, arXiv 2104.09864) with linear
 * scaling, per-dimension factors, and YaRN (Peng et al. 2023, arXiv 2309.00071). */
#include <math.h>

#include "ops/run.h"

/* The dimension whose wavelength fits `turns` times into the original context. */
static double yarn_dimension(const puna_rope_params *p, double turns)
{
    return p->n_rot * log(p->n_ctx_orig / (turns * 2 * 3.14159265358979323846)) / (2 * log((double)p->base));
}

/* How much of pair i keeps its unscaled angle, 1 .. 0 from fast to slow dimensions. */
static double yarn_ramp(const puna_rope_params *p, int32_t i)
{
    double low = floor(yarn_dimension(p, (double)p->yarn_beta_fast));
    double high = ceil(yarn_dimension(p, (double)p->yarn_beta_slow));
    low = fmax(0, low);
    high = fmin(p->n_rot - 1, high);
    double y = ((double)i - low) / fmax(0.001, high - low);
    return 1 - fmin(1, fmax(0, y));
}

void puna_rope_angles(const puna_rope_params *p, const float *factors, int32_t position, float *cosines,
                      float *sines)
{
    if (p->position_block > 0)
        position -= position % p->position_block;
    for (int32_t i = 0; i < p->n_rot / 2; i++) {
        double plain = position * pow((double)p->base, -2.0 * i / p->n_rot);
        if (factors)
            plain /= (double)factors[i];
        double angle = plain * (double)p->scale;
        if (p->yarn_ext != 0) {
            double mix = yarn_ramp(p, i) * (double)p->yarn_ext;
            angle = angle * (1 - mix) + plain * mix;
        }
        if (p->still_period > 0 && i % p->still_period >= p->still_from)
            angle = 0;
        cosines[i] = (float)(cos(angle) * (double)p->magnitude);
        sines[i] = (float)(sin(p->back ? -angle : angle) * (double)p->magnitude);
    }
}

static void rotate_head(const puna_rope_params *p, float *y, const float *cosines, const float *sines)
{
    int32_t half = p->n_rot / 2;
    for (int32_t i = 0; i < half; i++) {
        int32_t a = p->pairing == PUNA_ROPE_NORMAL ? 2 * i : i;
        int32_t b = p->pairing == PUNA_ROPE_NORMAL ? 2 * i + 1 : i + half;
        float u = y[a], v = y[b];
        y[a] = u * cosines[i] - v * sines[i];
        y[b] = u * sines[i] + v * cosines[i];
    }
}

void puna_ref_rope(const puna_run *run, const puna_node *node)
{
    const puna_rope_params *p = &node->p.rope;
    int32_t width = run->plan->values[node->out].width;
    const float *x = puna_run_value(run, node->in[0]);
    float *y = puna_run_value(run, node->out), *cosines = run->row, *sines = run->row + p->n_rot / 2;
    for (int32_t t = 0; t < run->batch->n_tokens; t++) {
        float *row = y + (size_t)t * (size_t)width;
        for (int32_t i = 0; i < width; i++)
            row[i] = x[(size_t)t * (size_t)width + (size_t)i];
        puna_rope_angles(p, node->weight ? node->weight->data : NULL, run->batch->positions[t], cosines, sines);
        for (int32_t h = 0; h < p->n_head; h++)
            rotate_head(p, row + h * p->head_dim, cosines, sines);
    }
}
