/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/metrics.h"

#define POSTERS 4
#define LETTERS 20000

struct poster {
    struct loop *loop;
    unsigned posted; /* by the poster's thread */
    unsigned seen;   /* by the loop's */
    unsigned busy;
    bool out_of_order;
};

struct letter {
    struct poster *poster;
    unsigned number;
};

static void on_letter(void *context)
{
    struct letter *letter = context;

    if (letter->number != letter->poster->seen)
        letter->poster->out_of_order = true;
    letter->poster->seen++;
    free(letter);
}

static void *post_many(void *context)
{
    struct poster *poster = context;

    for (unsigned i = 0; i < LETTERS; i++) {
        struct letter *letter = malloc(sizeof(*letter));

        *letter = (struct letter){.poster = poster, .number = i};
        if (i % 3 == 0) {
            loop_answer(poster->loop, on_letter, letter);
        } else {
            while (loop_post(poster->loop, on_letter, letter) == TORG_E_BUSY) {
                poster->busy++;
                usleep(50);
            }
        }
        poster->posted++;
    }
    return NULL;
}

static void *run_loop(void *context)
{
    return loop_run(context) ? context : NULL;
}

/* A letter lost or out of order would be an answer that never comes, or a lie about the past. */
static void test_threads_post_in_order_and_nothing_is_lost(void **state)
{
    struct poster posters[POSTERS] = {0};
    pthread_t threads[POSTERS], runner;
    struct loop *loop;
    void *failed;

    (void)state;
    assert_ok(loop_new(64, &loop));
    pthread_create(&runner, NULL, run_loop, loop);
    for (int i = 0; i < POSTERS; i++) {
        posters[i].loop = loop;
        pthread_create(&threads[i], NULL, post_many, &posters[i]);
    }
    for (int i = 0; i < POSTERS; i++)
        pthread_join(threads[i], NULL);
    loop_stop(loop);
    pthread_join(runner, &failed);
    assert_null(failed);
    loop_free(loop);
    for (int i = 0; i < POSTERS; i++) {
        assert_int_equal(posters[i].posted, LETTERS);
        assert_int_equal(posters[i].seen, LETTERS);
        assert_false(posters[i].out_of_order);
    }
}

static void count_up(void *context)
{
    (*(unsigned *)context)++;
}

static void test_full_mailbox_refuses_posts_but_not_answers(void **state)
{
    struct loop *loop;
    unsigned ran = 0;

    (void)state;
    assert_ok(loop_new(2, &loop));
    assert_ok(loop_post(loop, count_up, &ran));
    assert_ok(loop_post(loop, count_up, &ran));
    assert_err(loop_post(loop, count_up, &ran), TORG_E_BUSY);
    loop_answer(loop, count_up, &ran);
    /* A stop before the run still lets run what was posted before it. */
    loop_stop(loop);
    assert_ok(loop_run(loop));
    assert_int_equal(ran, 3);
    /* What comes after the run is not lost either. */
    loop_answer(loop, count_up, &ran);
    loop_free(loop);
    assert_int_equal(ran, 4);
}

/* A peer's text with a newline must not forge a line of its own. */
static void test_log_line_form(void **state)
{
    char value[LOG_VALUE_BYTES_MAX], text[4096], longer[2000];
    int pipe_fds[2];
    ssize_t size;

    (void)state;
    assert_int_equal(pipe2(pipe_fds, O_NONBLOCK), 0);
    log_set_descriptor(pipe_fds[1]);
    log_set_level(LOG_WARN);
    log_event(LOG_INFO, "not.shown", "a=%d", 1);
    log_event(LOG_WARN, "peer.refused", "peer=%s err=%s", log_value(value, "a\nb"), "x");
    size = read(pipe_fds[0], text, sizeof(text) - 1);
    assert_true(size > 0);
    text[size] = 0;
    assert_string_equal(text + strlen("2026-11-21T09:00:00.123Z"),
                        " warn peer.refused peer=a?b err=x\n");
    assert_int_equal(text[10], 'T');
    assert_int_equal(text[23], 'Z');
    assert_string_equal(log_value(value, "a \"b\""), "\"a \\\"b\\\"\"");
    assert_string_equal(log_value(value, ""), "\"\"");
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = 0;
    assert_true(strlen(log_value(value, longer)) < LOG_VALUE_BYTES_MAX);
    log_event(LOG_ERROR, "long", "text=%s", longer);
    size = read(pipe_fds[0], text, sizeof(text));
    assert_true(size > 0 && size <= LOG_LINE_BYTES_MAX);
    assert_int_equal(text[size - 1], '\n');
    log_set_descriptor(STDERR_FILENO);
    log_set_level(LOG_INFO);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

/* A histogram whose buckets are not sums misleads every dashboard. */
static void test_metrics_text(void **state)
{
    struct metrics *metrics;
    struct buffer out = {0};
    char label[METRICS_LABEL_BYTES_MAX];

    (void)state;
    assert_ok(metrics_new(&metrics));
    metrics_add(metrics, METRIC_HTTP_REQUESTS_2XX, 41);
    metrics_add(metrics, METRIC_HTTP_REQUESTS_2XX, 1);
    metrics_http_time_us(metrics, 100);
    metrics_http_time_us(metrics, 101);
    metrics_http_time_us(metrics, 99999999);
    metrics_put(metrics, &out);
    metrics_put_sample(&out, "torg_x", "gauge", "An x.", "a=\"1\"", 0.5);
    buffer_put_u8(&out, 0);
    assert_ok(out.err);
    assert_non_null(strstr((char *)out.data, "# TYPE torg_http_requests_total counter\n"
                                             "torg_http_requests_total{class=\"2xx\"} 42\n"
                                             "torg_http_requests_total{class=\"3xx\"} 0\n"));
    assert_non_null(strstr((char *)out.data, "_bucket{le=\"0.0001\"} 1\n"));
    assert_non_null(strstr((char *)out.data, "_bucket{le=\"0.00025\"} 2\n"));
    assert_non_null(strstr((char *)out.data, "_bucket{le=\"10\"} 2\n"));
    assert_non_null(strstr((char *)out.data, "_bucket{le=\"+Inf\"} 3\n"));
    assert_non_null(strstr((char *)out.data, "_count 3\n"));
    assert_non_null(strstr((char *)out.data,
                           "# HELP torg_x An x.\n# TYPE torg_x gauge\ntorg_x{a=\"1\"} 0.5\n"));
    assert_string_equal(metrics_label(label, "a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    buffer_done(&out);
    metrics_free(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_post_in_order_and_nothing_is_lost),
        cmocka_unit_test(test_full_mailbox_refuses_posts_but_not_answers),
        cmocka_unit_test(test_log_line_form),
        cmocka_unit_test(test_metrics_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
