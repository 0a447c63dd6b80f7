/* reference.h - prototypes of the functions that formats.def names, and what their files share.
 * Private to src/quant: callers go through puna_format_info. */
#ifndef PUNA_QUANT_REFERENCE_H
#define PUNA_QUANT_REFERENCE_H

#include "quant/blocks.h"
#include "quant/format.h"
#include "quant/half.h"

/* The results are defined bit for bit, so a * b + c rounds twice here: clang would fuse it where
 * the machine can; gcc does not in ISO mode, and does not know the pragma. */
#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif

/* A float that should be an integer in [low, high], as that integer; NaN gives high. */
static inline int puna_code_clamp(float value, int low, int high)
{
    value = value < (float)high ? value : (float)high;
    value = value > (float)low ? value : (float)low;
    return (int)value;
}

puna_dequantize_fn puna_f32_dequantize, puna_f16_dequantize, puna_bf16_dequantize;
puna_dequantize_fn puna_f64_dequantize, puna_i8_dequantize, puna_i16_dequantize;
puna_dequantize_fn puna_i32_dequantize, puna_i64_dequantize;
puna_quantize_fn puna_f32_quantize, puna_f16_quantize, puna_bf16_quantize, puna_f64_quantize;

puna_dequantize_fn puna_q1_0_dequantize, puna_q2_0_dequantize, puna_q4_0_dequantize;
puna_dequantize_fn puna_q4_1_dequantize, puna_q5_0_dequantize, puna_q5_1_dequantize;
puna_dequantize_fn puna_q8_0_dequantize, puna_q8_1_dequantize;
puna_quantize_fn puna_q1_0_quantize, puna_q2_0_quantize, puna_q4_0_quantize, puna_q4_1_quantize;
puna_quantize_fn puna_q5_0_quantize, puna_q5_1_quantize, puna_q8_0_quantize, puna_q8_1_quantize;

puna_dequantize_fn puna_q2_k_dequantize, puna_q3_k_dequantize, puna_q4_k_dequantize;
puna_dequantize_fn puna_q5_k_dequantize, puna_q6_k_dequantize, puna_q8_k_dequantize;
puna_quantize_fn puna_q2_k_quantize, puna_q3_k_quantize, puna_q4_k_quantize;
puna_quantize_fn puna_q5_k_quantize, puna_q6_k_quantize, puna_q8_k_quantize;

puna_dequantize_fn puna_iq1_s_dequantize, puna_iq1_m_dequantize, puna_iq2_xxs_dequantize;
puna_dequantize_fn puna_iq2_xs_dequantize, puna_iq2_s_dequantize, puna_iq3_xxs_dequantize;
puna_dequantize_fn puna_iq3_s_dequantize, puna_iq4_nl_dequantize, puna_iq4_xs_dequantize;
puna_quantize_fn puna_iq4_nl_quantize, puna_iq4_xs_quantize;

puna_dequantize_fn puna_tq1_0_dequantize, puna_tq2_0_dequantize;
puna_quantize_fn puna_tq1_0_quantize, puna_tq2_0_quantize;

puna_dequantize_fn puna_mxfp4_dequantize, puna_nvfp4_dequantize;
puna_quantize_fn puna_mxfp4_quantize, puna_nvfp4_quantize;

#endif
