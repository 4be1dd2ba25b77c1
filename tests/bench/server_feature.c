/* SPDX-License-Identifier: EUPL-1.2 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/num.h"
#include "tests/bench/server.h"

/* An offer as "torg generate" makes it, of about 400 bytes. */
void server_feature_put(struct buffer *out, const struct bench_record *record, const char *slug)
{
    buffer_put_str(out, "{\"type\":\"Feature\",\"geometry\":{\"type\":\"Point\",\"coordinates\":[");
    num_put_fixed(out, record->lon_e7, 7);
    buffer_put_str(out, ",");
    num_put_fixed(out, record->lat_e7, 7);
    buffer_printf(out,
                  "]},\"properties\":{\"example\":true,\"identifiers\":{\"source\":{\"system\":"
                  "\"torg-bench\",\"id\":\"%u\"}},\"name\":{\"sv\":\"Erbjudande %u\"},"
                  "\"description\":{\"sv\":\"Påhittat exempel nummer %u för prov av torg, bland "
                  "många andra i norr.\"},\"themes\":[\"%s\"],\"kind\":\"sell\",\"price\":{"
                  "\"amount\":%u,\"currency\":\"SEK\"}}}",
                  record->document, record->document, record->document, slug,
                  50 + record->document % 300 * 10);
}

void server_fact(const char *directory, const char *name, char out[SERVER_FACT_BYTES_MAX])
{
    char path[4096];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    file = fopen(path, "re");
    if (!file || !fgets(out, SERVER_FACT_BYTES_MAX, file))
        bench_die("%s: %s", path, file ? "is empty" : strerror(errno));
    out[strcspn(out, "\n")] = '\0';
    fclose(file);
}

uint16_t server_fact_port(const char *directory, const char *name)
{
    char text[SERVER_FACT_BYTES_MAX];
    unsigned long port;

    server_fact(directory, name, text);
    port = strtoul(text, NULL, 10);
    if (port == 0 || port > UINT16_MAX)
        bench_die("%s/%s: \"%s\" is not a port", directory, name, text);
    return (uint16_t)port;
}
