/* charsmap.c - precompiled character maps: prefix search in a double array. Its layout is that
 * of the darts-clone library, as SentencePiece writes it. Every index is checked. */
#include <string.h>

#include "token/charsmap.h"

puna_status puna_charsmap_read(puna_charsmap *map, const void *blob, size_t n, puna_error *err)
{
    const unsigned char *p = blob;
    *map = (puna_charsmap){ 0 };
    if (n == 0)
        return PUNA_OK;
    uint32_t size = n < 4 ? 0 : p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    if (n < 4 || size > n - 4 || size % 4 != 0 || size == n - 4)
        return puna_fail(err, PUNA_ERR_FORMAT, "character map: got %zu bytes with an array of %u", n,
                         (unsigned)size);
    if (p[n - 1] != '\0')
        return puna_fail(err, PUNA_ERR_FORMAT, "character map: the last replacement does not end");
    *map = (puna_charsmap){ p + 4, size / 4, (const char *)p + 4 + size, n - 4 - size };
    return PUNA_OK;
}

/* Real keys have under 20 bytes; a hostile array may go round in circles. */
enum { MAX_KEY_BYTES = 256 };

static bool unit_at(const puna_charsmap *map, size_t i, uint32_t *unit)
{
    if (i >= map->n_units)
        return false;
    const unsigned char *p = map->units + i * 4;
    *unit = p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    return true;
}

/* Bits 10 to 30 hold the offset, bit 9 says that it counts in 256s. */
static size_t unit_offset(uint32_t unit)
{
    return (size_t)(unit >> 10) << ((unit & 512) >> 6);
}

size_t puna_charsmap_find(const puna_charsmap *map, const char *text, size_t n, bool longest,
                          const char **replacement)
{
    uint32_t unit, leaf;
    size_t found = 0;
    if (!unit_at(map, 0, &unit))
        return 0;
    size_t node = unit_offset(unit);
    for (size_t i = 0; i < n && i < MAX_KEY_BYTES; i++) {
        unsigned char c = (unsigned char)text[i];
        node ^= c;
        /* Bits 0 to 7 are the label; bit 31 marks a leaf, which has none. */
        if (c == 0 || !unit_at(map, node, &unit) || (unit & 0x800000ffu) != c)
            break;
        node ^= unit_offset(unit);
        if (!(unit & 256))
            continue;
        if (!unit_at(map, node, &leaf) || (leaf & 0x7fffffffu) >= map->n_text)
            break;
        found = i + 1;
        *replacement = map->text + (leaf & 0x7fffffffu);
        if (!longest)
            break;
    }
    return found;
}
