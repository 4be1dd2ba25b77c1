/* SPDX-License-Identifier: EUPL-1.2 */
#include <libstemmer.h>

#include "index/text_internal.h"
#include "protocol/fold.h"

/* The one file that sees libstemmer (Snowball; Porter, "Snowball", 2001). */

static const char *const algorithms[] = {
    [TEXT_SV] = "swedish",   [TEXT_FI] = "finnish", [TEXT_EN] = "english",
    [TEXT_NO] = "norwegian", [TEXT_DA] = "danish",  [TEXT_DE] = "german",
};

static const struct {
    char tag[3];
    enum text_language language;
} tags[] = {
    {"sv", TEXT_SV}, {"fi", TEXT_FI}, {"en", TEXT_EN}, {"no", TEXT_NO},
    {"nb", TEXT_NO}, {"nn", TEXT_NO}, {"da", TEXT_DA}, {"de", TEXT_DE},
};

enum text_language text_language_of(struct span tag)
{
    if (tag.size >= 2 && (tag.size == 2 || tag.data[2] == '-')) {
        for (size_t i = 0; i < ARRAY_SIZE(tags); i++) {
            if (tags[i].tag[0] == tag.data[0] && tags[i].tag[1] == tag.data[1])
                return tags[i].language;
        }
    }
    return TEXT_OTHER;
}

enum torg_err text_stem(struct text_stemmer *stemmer, enum text_language language,
                        struct span letters, struct buffer *out)
{
    const sb_symbol *symbols;
    struct span stem;

    if (language < TEXT_STEMS_FIRST || language > TEXT_STEMS_LAST || letters.size == 0)
        return TORG_OK;
    if (!stemmer->stemmers[language])
        stemmer->stemmers[language] = sb_stemmer_new(algorithms[language], NULL);
    if (!stemmer->stemmers[language])
        return TORG_E_NOMEM;
    symbols = sb_stemmer_stem(stemmer->stemmers[language], letters.data, (int)letters.size);
    if (!symbols)
        return TORG_E_NOMEM;
    stem = span_of(symbols, (size_t)sb_stemmer_length(stemmer->stemmers[language]));
    fold_put(out, language == TEXT_SV ? text_swedish_stem(stem) : stem);
    return out->err;
}

void text_stemmer_done(struct text_stemmer *stemmer)
{
    for (size_t i = 0; i < ARRAY_SIZE(stemmer->stemmers); i++)
        sb_stemmer_delete(stemmer->stemmers[i]);
    *stemmer = (struct text_stemmer){0};
}
