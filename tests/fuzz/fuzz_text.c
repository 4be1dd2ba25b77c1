/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>
#include <string.h>

#include "index/text_internal.h"
#include "tests/support/kv_mem.h"

/*
 * Whatever bytes stand in a text: its words are bounded UTF-8 that comes out
 * the same again, have keys that can be read back and stems in every language;
 * and a listing with such a word is found by that word.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WORDS_MAX 64

static enum torg_err form_sound(void *context, struct span entry)
{
    (void)context;
    assert(entry.size >= 3 && entry.size <= TEXT_FORM_BYTES_MAX);
    return TORG_OK;
}

static void check_word(struct text_stemmer *stemmer, const struct text_word *word,
                       enum text_language language)
{
    struct text_key key = text_key_of(word, language);
    struct text_words again = {.text = word->letters};
    struct text_word read;
    enum text_language got;

    assert(word->letters.size <= TEXT_WORD_BYTES_MAX && utf8_valid(word->letters));
    assert(word->folded.size <= TEXT_WORD_BYTES_MAX && utf8_valid(word->folded));
    assert(!memchr(word->folded.data, 0, word->folded.size));
    assert(text_key_read(span_of(key.bytes, key.size), &read, &got) && got == language);
    assert(span_equal(read.letters, word->letters) && span_equal(read.folded, word->folded));
    assert(text_words_next(&again, &read) && span_equal(read.letters, word->letters));
    text_words_done(&again);
    assert(!text_forms(stemmer, POSTINGS_NAME, span_of(key.bytes, key.size), form_sound, NULL));
}

static void check_found(const struct kv *kv, struct span letters)
{
    struct text_query *query;

    if (letters.size > TEXT_QUERY_BYTES_MAX)
        return;
    assert(!text_query_new(kv, letters, 100000, &query));
    assert(postings_set_contains(text_query_set(query), 1));
    assert(text_query_score(query, 1) >= 1000);
    text_query_free(query);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text_stemmer stemmer = {0};
    struct postings_writer writer = {.turned = text_turned, .context = &stemmer};
    struct text_words words = {0};
    struct text_query *query;
    enum text_language language;
    struct text_word word;
    struct kv_mem *mem;
    struct kv kv;

    if (size < 1)
        return 0;
    language = (enum text_language)(TEXT_SV + data[0] % TEXT_OTHER);
    words.text = span_of(data + 1, size - 1);
    assert(!kv_mem_new(&mem));
    assert(!kv_mem_write_begin(mem, &kv));
    for (size_t i = 0; i < WORDS_MAX && text_words_next(&words, &word); i++) {
        struct text_key key = text_key_of(&word, language);
        bool there;

        check_word(&stemmer, &word, language);
        assert(!postings_contains(&kv, POSTINGS_NAME, span_of(key.bytes, key.size), 1, &there));
        if (!there) {
            assert(!postings_add(&writer, POSTINGS_NAME, span_of(key.bytes, key.size), 1));
            assert(!postings_flush(&writer, &kv));
        }
        check_found(&kv, word.letters);
    }
    assert(!words.err);
    (void)(text_query_new(&kv, span_of(data, size), 100000, &query) || (text_query_free(query), 0));
    text_words_done(&words);
    postings_writer_done(&writer);
    text_stemmer_done(&stemmer);
    kv_mem_write_abort(&kv);
    kv_mem_free(mem);
    return 0;
}
