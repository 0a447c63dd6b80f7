/* notes.c - what the parser notices for puna_template_check: the names a template reads and sets. */
#include "chat/jinja/parser.h"

void puna_jnotes_add(json_t *set, const puna_jstr *name)
{
    json_object_set_new(set, name->data, json_true()); /* interned names are terminated */
}

void puna_jnotes_read(puna_jparser *p, const puna_jstr *name)
{
    puna_jnotes *notes = p->notes;
    if (!notes || json_object_get(notes->known, name->data))
        return;
    if (puna_jbuiltin_function(name->data, name->n))
        puna_jnotes_add(notes->functions, name);
    else if (!p->n_callable)
        puna_jnotes_add(notes->variables, name);
    else if (!json_object_get(notes->variables, name->data))
        json_object_set_new(notes->variables, name->data, json_false());
}

void puna_jnotes_set(puna_jparser *p, const puna_jstr *name)
{
    if (!p->notes || !name)
        return;
    puna_jnotes_add(p->notes->assigned, name);
    if (json_object_get(p->notes->known, name->data))
        return;
    puna_jnotes_add(p->notes->known, name);
    json_array_append_new(p->notes->order, json_string(name->data));
}

size_t puna_jnotes_mark(const puna_jparser *p)
{
    return p->notes ? json_array_size(p->notes->order) : 0;
}

void puna_jnotes_forget(puna_jparser *p, size_t mark)
{
    if (!p->notes)
        return;
    for (size_t n = json_array_size(p->notes->order); n > mark; n--) {
        json_object_del(p->notes->known, json_string_value(json_array_get(p->notes->order, n - 1)));
        json_array_remove(p->notes->order, n - 1);
    }
}

void puna_jnotes_set_target(puna_jparser *p, const puna_jnode *target)
{
    if (!p->notes || !target)
        return;
    if (target->kind == PUNA_JN_NAME)
        puna_jnotes_set(p, target->name);
    for (const puna_jnode *item = target->kind == PUNA_JN_TUPLE ? target->list : NULL; item; item = item->next)
        puna_jnotes_set_target(p, item);
}
