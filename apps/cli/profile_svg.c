/* profile_svg.c - draws a profile: for each phase the kinds of step with all layers together, what each
 * multiplies with, and then every step layer by layer in the order in which it ran. Widths are time;
 * only within a fused step, whose parts have no time of their own, are they the bytes of its matrices. */
#include "cli/profile_svg.h"

#include <stdio.h>
#include <string.h>

#include "cli/newfile.h"

enum {
    WIDTH = 1400, MARGIN = 16, ROW = 24, GAP = 18, HEAD = 64,
    CHARACTER = 7,      /* pixels of one at the font size used */
    LABEL_LEAST = 26,   /* a narrower box has no text */
    PHASE_HEIGHT = 2 * GAP + 6 * ROW + 3 * GAP
};

typedef struct drawing {
    FILE *out;
    double left, per_ms; /* pixels */
} drawing;

/* A kind of step by the operation in it that weighs most. */
static const struct look {
    const char *op, *name, *color;
} looks[] = {
    { "attention", "attention", "#c2570c" },  { "logits", "logits", "#7c3f98" },
    { "glu", "feed-forward", "#0f766e" },     { "linear", "linear", "#2458b8" },
    { "kv_store", "cache", "#92700c" },       { "", "rows: norm, add, rope, embedding", "#5b6b2e" },
};
enum { N_LOOKS = sizeof looks / sizeof *looks };

static double number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

/* The look of a step with these operations. */
static const struct look *look_of(const json_t *ops)
{
    for (size_t l = 0; l < N_LOOKS - 1; l++) {
        size_t i;
        const json_t *op;
        json_array_foreach(ops, i, op) {
            if (strcmp(json_string_value(op), looks[l].op) == 0)
                return &looks[l];
        }
    }
    return &looks[N_LOOKS - 1];
}

/* At most n bytes of text, with what XML keeps for itself written otherwise. */
static void put_text(FILE *out, const char *text, size_t n)
{
    for (size_t i = 0; i < n && text[i]; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '<')
            fputs("&lt;", out);
        else if (c == '&')
            fputs("&amp;", out);
        else
            fputc(c < 0x20 ? '?' : c, out);
    }
}

/* A box from x on, with as much of its label as fits and a tooltip; returns where it ends. */
static double put_box(const drawing *d, double x, double y, double width, const char *color, const char *label,
                      const char *tooltip)
{
    fprintf(d->out, "<g><title>");
    put_text(d->out, tooltip, strlen(tooltip));
    fprintf(d->out, "</title><rect x=\"%.2f\" y=\"%.0f\" width=\"%.2f\" height=\"%d\" fill=\"%s\"/>", x, y,
            width > 0.05 ? width : 0.05, ROW - 1, color);
    size_t n = strlen(label), fit = width > LABEL_LEAST ? (size_t)((width - 6) / CHARACTER) : 0;
    if (width >= (double)n * CHARACTER + 4)
        fit = n;
    if (n && fit) {
        fprintf(d->out, "<text x=\"%.2f\" y=\"%.0f\">", x + 3, y + ROW - 8);
        put_text(d->out, label, n <= fit ? n : fit - 1);
        fprintf(d->out, "%s</text>", n <= fit ? "" : "\xe2\x80\xa6");
    }
    fprintf(d->out, "</g>\n");
    return x + width;
}

static void describe(const json_t *row, double runs, double all_ms, const char *name, char *text, size_t size)
{
    snprintf(text, size, "%s: %.3f ms a run, %.1f %% of the time, %.2f MB, %.1f GB/s, %.1f GMAC/s, %.1f %% of the limit", name,
             number(row, "ms") / runs, all_ms > 0 ? 100 * number(row, "ms") / all_ms : 0, number(row, "bytes") / runs / 1e6,
             number(row, "gb_per_s"), number(row, "gmac_per_s"), 100 * number(row, "limit_share"));
}

/* "attn_q+attn_k" as boxes of equal kind, each as wide as its part of the bytes of the first such step. */
static void put_parts(const drawing *d, const json_t *kind, const json_t *steps, double x, double y, double width)
{
    const json_t *step = NULL, *weight, *weights;
    size_t i;
    double all = 0;
    json_array_foreach(steps, i, step) {
        if (json_equal(json_object_get(step, "label"), json_object_get(kind, "label")))
            break;
    }
    weights = json_object_get(step, "weights");
    json_array_foreach(weights, i, weight)
        all += number(weight, "bytes");
    json_array_foreach(weights, i, weight) {
        char label[96], tooltip[160];
        const char *name = json_string_value(json_object_get(weight, "name"));
        const char *encoding = json_string_value(json_object_get(weight, "encoding"));
        const char *short_name = strncmp(name, "blk.", 4) == 0 && strchr(name + 4, '.') ? strchr(name + 4, '.') + 1 : name;
        snprintf(label, sizeof label, "%.60s %s", short_name, encoding);
        snprintf(tooltip, sizeof tooltip, "%.100s, %s: by its bytes within the step", short_name, encoding);
        if (all > 0)
            x = put_box(d, x, y, width * number(weight, "bytes") / all, look_of(json_object_get(kind, "ops"))->color, label, tooltip);
    }
}

static void put_kinds(const drawing *d, const json_t *phase, double y)
{
    const json_t *kind, *total = json_object_get(phase, "total");
    double all = number(total, "ms"), runs = number(phase, "runs"), x = d->left;
    char text[512];
    size_t i;
    describe(total, runs, all, "all", text, sizeof text);
    put_box(d, x, y, all * d->per_ms, "#44475a", text, text);
    json_array_foreach(json_object_get(phase, "kinds"), i, kind) {
        double width = number(kind, "ms") * d->per_ms;
        const char *label = json_string_value(json_object_get(kind, "label"));
        describe(kind, runs, all, label, text, sizeof text);
        put_box(d, x, y + ROW, width, look_of(json_object_get(kind, "ops"))->color, label, text);
        put_parts(d, kind, json_object_get(phase, "steps"), x, y + 2 * ROW, width);
        x += width;
    }
}

/* Consecutive steps of one layer share a box above them. */
static void put_layers(const drawing *d, const json_t *phase, double y)
{
    const json_t *steps = json_object_get(phase, "steps"), *step;
    double all = number(json_object_get(phase, "total"), "ms"), runs = number(phase, "runs"), x = d->left, first = x, ms = 0;
    char text[512], name[32];
    size_t i;
    json_array_foreach(steps, i, step) {
        const char *label = json_string_value(json_object_get(step, "label"));
        int layer = (int)number(step, "layer");
        const json_t *next = json_array_get(steps, i + 1);
        describe(step, runs, all, label, text, sizeof text);
        x = put_box(d, x, y + ROW, number(step, "ms") * d->per_ms, look_of(json_object_get(step, "ops"))->color, label, text);
        ms += number(step, "ms");
        if (next && (int)number(next, "layer") == layer)
            continue;
        snprintf(name, sizeof name, layer < 0 ? "outside" : "layer %d", layer);
        snprintf(text, sizeof text, "%s: %.3f ms a run, %.1f %% of the time", name, ms / runs, all > 0 ? 100 * ms / all : 0);
        put_box(d, first, y, x - first, layer < 0 || layer % 2 ? "#5f6377" : "#44475a",
                layer < 0 || x - first > 60 ? name : name + strlen("layer "), text);
        first = x;
        ms = 0;
    }
}

static void put_heading(const drawing *d, double y, const char *class_name, const char *text)
{
    fprintf(d->out, "<text x=\"%d\" y=\"%.0f\" class=\"%s\">", MARGIN, y, class_name);
    put_text(d->out, text, strlen(text));
    fprintf(d->out, "</text>\n");
}

static void put_phase(drawing *d, const json_t *phase, double y)
{
    char text[256];
    double ms = number(json_object_get(phase, "total"), "ms"), runs = number(phase, "runs");
    d->per_ms = ms > 0 ? (WIDTH - 2 * MARGIN) / ms : 0;
    snprintf(text, sizeof text, "%s of %d tokens after %d: %.3f ms a run, %.1f tokens/s", json_string_value(json_object_get(phase, "test")),
             (int)number(phase, "tokens"), (int)number(phase, "depth"), ms / runs, ms > 0 ? number(phase, "tokens") * 1e3 / ms : 0);
    put_heading(d, y + GAP, "dark big", text);
    put_heading(d, y + 2 * GAP + 4, "dark", "all layers together: kinds of step, and the matrices of each");
    put_kinds(d, phase, y + 3 * GAP);
    put_heading(d, y + 4 * GAP + 3 * ROW, "dark", "in the order of the run: layers and their steps");
    put_layers(d, phase, y + 5 * GAP + 3 * ROW - 6);
}

static void put_document(drawing *d, const json_t *document)
{
    const json_t *phases = json_object_get(document, "phases"), *machine = json_object_get(document, "machine"), *phase;
    char text[512];
    size_t i;
    double height = HEAD + PHASE_HEIGHT * (double)json_array_size(phases) + MARGIN, x = MARGIN;
    fprintf(d->out, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%.0f\" viewBox=\"0 0 %d %.0f\">\n", WIDTH, height,
            WIDTH, height);
    fprintf(d->out, "<style>text{font:12px monospace;fill:#fff}.dark{fill:#222}.big{font-size:15px;font-weight:bold}"
                    "g:hover rect{opacity:.75}</style>\n<rect width=\"%d\" height=\"%.0f\" fill=\"#fff\"/>\n", WIDTH, height);
    snprintf(text, sizeof text, "%s \xe2\x80\x94 %s, %d threads, reads %.1f GB/s, %.0f G int8 multiply-adds/s",
             json_string_value(json_object_get(document, "model")), json_string_value(json_object_get(machine, "cpu")),
             (int)number(machine, "threads"), number(machine, "read_gb_per_s"), number(machine, "int8_gmac_per_s"));
    put_heading(d, 24, "dark", text);
    for (i = 0; i < N_LOOKS; i++) {
        double width = (double)strlen(looks[i].name) * CHARACTER + 12;
        x = put_box(d, x, 34, width, looks[i].color, looks[i].name, looks[i].name) + 8;
    }
    json_array_foreach(phases, i, phase)
        put_phase(d, phase, HEAD + PHASE_HEIGHT * (double)i);
    fprintf(d->out, "</svg>\n");
}

puna_status puna_profile_svg(const json_t *document, const char *path, puna_error *err)
{
    puna_new_file file;
    TRY(puna_new_file_open(&file, "--svg", path, err));
    drawing d = { .out = file.stream, .left = MARGIN };
    put_document(&d, document);
    return puna_new_file_close(&file, PUNA_OK, err);
}
