/* fuzz_model.c - any bytes as a whole model: opened, described, and when that succeeds run for
 * three tokens. The seeds are tiny models; most mutations stay well-formed files with odd numbers. */
#include <stddef.h>
#include <stdint.h>

#include "puna.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    puna_model *model = NULL;
    puna_session *session = NULL;
    char *json = NULL;
    puna_params *params = puna_params_new();
    if (!params)
        return 0;
    puna_params_set(params, "threads", "1", NULL);
    puna_params_set(params, "ctx", "16", NULL);
    puna_params_set(params, "backend", size % 2 ? "cpu" : "ref", NULL);
    if (puna_model_open_memory(&model, data, size, "fuzz", params, NULL) == PUNA_OK) {
        const int32_t tokens[] = { 0, 1, 2 };
        static const char *const topics[] = { "summary", "metadata", "tensors" };
        for (int i = 0; i < 3; i++)
            if (puna_model_describe(model, topics[i], &json, NULL) == PUNA_OK)
                puna_free(json);
        if (puna_session_open(&session, model, params, NULL) == PUNA_OK)
            puna_session_sync(session, tokens, 3, NULL);
    }
    puna_session_free(session);
    puna_model_free(model);
    puna_params_free(params);
    return 0;
}
