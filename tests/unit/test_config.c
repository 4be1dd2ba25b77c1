/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/config.h"
#include "daemon/log.h"

#define KEY_A "3ccd241cffc9b3618044b97d036d8614593d8b017c340f1dee8773385517654b"
#define KEY_B "8a1f5d2c6b7e90a3f4d5c6b7a8990a1b2c3d4e5f60718293a4b5c6d7e8f90a1b"

static char file_name[64];

static void write_file(const char *text, size_t size)
{
    int fd = open(file_name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, size), (ssize_t)size);
    close(fd);
}

static enum torg_err read_text(const char *text, struct config *ret_config, char message[512])
{
    write_file(text, strlen(text));
    return config_read(file_name, ret_config, message, 512);
}

/* A default that is not what the manual says would surprise whoever left the key out. */
static void test_defaults(void **state)
{
    struct sync_limits limits = sync_limits_default();
    struct config config;
    char message[512];
    char address[CONFIG_ADDRESS_BYTES_MAX];

    (void)state;
    assert_ok(read_text("", &config, message));
    assert_memory_equal(&config.sync, &limits, sizeof(limits)); /* also those without a key */
    assert_string_equal(config.name, "torg");
    assert_string_equal(config.directory, "/var/lib/torg");
    assert_string_equal(config.keys_directory, "/etc/torg/keys");
    assert_int_equal(config.http_count, 1);
    assert_string_equal(config_address_format(&config.http[0], address), "127.0.0.1:8480");
    assert_string_equal(config_address_format(&config.peer_listen[0], address), "0.0.0.0:8490");
    assert_string_equal(config_address_format(&config.admin[0], address), "127.0.0.1:8500");
    assert_string_equal(config.base_path, "/torg/v1");
    assert_string_equal(config.base_url, "");
    assert_int_equal(config.peer_count, 0);
    assert_int_equal(config.map_bytes, (uint64_t)64 << 30);
    assert_int_equal(config.commit_bytes, 0); /* auto */
    assert_int_equal(config.ask_peers_s, 10);
    assert_int_equal(config.collections, COLLECTION_MASK_ALL);
    assert_false(config.has_catalogue);
    assert_int_equal(config.sync.live_credit_bytes, 1048576);
    assert_int_equal(config.sync.sync_credit_bytes, 4194304);
    assert_int_equal(config.sync.output_queue_bytes, 2097152);
    assert_int_equal(config.sync.compress, 0);
    assert_int_equal(config.sync.heads_burst, 1000);
    assert_int_equal(config.sync.listings_per_origin, 1000000);
    assert_int_equal(config.log_level, LOG_INFO);
    config_done(&config);
}

static void test_whole_file(void **state)
{
    static const char text[] = "\xef\xbb\xbf# comment\r\n"
                               "[municipality]\n"
                               "name = Örnsköldsvik ; not part of the name\n"
                               "directory = data\n"
                               "keys=/k\n"
                               "[http]\n"
                               "  listen = 127.0.0.1:1 , [::1]:0\n"
                               "base-path = /\n"
                               "base-url = https://a.example/x\n"
                               "threads = 3\n"
                               "[peer-listen]\n"
                               "listen = none\n"
                               "[peer a.b-c_1]\n"
                               "key = " KEY_A "\n"
                               "key-next = " KEY_B "\n"
                               "address = [2001:db8::1]:8490\n"
                               "[trust]\n"
                               "origin  umea = " KEY_A "\n"
                               "collections umea = offers , events,31\n"
                               "listings umea = 5000\n"
                               "origin arjeplog = " KEY_B "\n"
                               "collections = places\n"
                               "catalogue = " KEY_B "\n"
                               "[limits]\n"
                               "map-size = 512MiB\n"
                               "commit-memory = 200 MiB\n"
                               "ask-peers = 2 min\n"
                               "live-credit = 600000\n"
                               "compress = yes\n"
                               "listings-per-origin = 70\n"
                               "[log]\n"
                               "level = debug";
    struct config config;
    char message[512], directory[600], address[CONFIG_ADDRESS_BYTES_MAX];

    (void)state;
    if (read_text(text, &config, message))
        fail_msg("%s", message);
    assert_string_equal(config.name, "Örnsköldsvik");
    snprintf(directory, sizeof(directory), "%.*s/data", (int)(strrchr(file_name, '/') - file_name),
             file_name);
    assert_string_equal(config.directory, directory);
    assert_string_equal(config.keys_directory, "/k");
    assert_int_equal(config.http_count, 2);
    assert_string_equal(config_address_format(&config.http[1], address), "[::1]:0");
    assert_string_equal(config.base_path, "");
    assert_string_equal(config.base_url, "https://a.example/x");
    assert_int_equal(config.http_threads, 3);
    assert_int_equal(config.peer_listen_count, 0);
    assert_int_equal(config.peer_count, 1);
    assert_string_equal(config.peers[0].name, "a.b-c_1");
    assert_int_equal(config.peers[0].key_count, 2);
    assert_true(config.peers[0].has_address);
    assert_string_equal(config_address_format(&config.peers[0].address, address),
                        "[2001:db8::1]:8490");
    assert_int_equal(config.trust_count, 2);
    assert_string_equal(config.trust[0].name, "umea");
    assert_int_equal(config.trust[0].origin.bytes[0], 0x3c);
    assert_int_equal(config.trust[0].collections, 1u << 2 | 1u << 3 | 1u << 31);
    assert_int_equal(config.trust[0].listings, 5000);
    assert_int_equal(config.trust[1].listings, 70);
    assert_string_equal(config.trust[1].name, "arjeplog");
    assert_int_equal(config.trust[1].collections, 1u << COLLECTION_PLACES);
    assert_true(config.has_catalogue);
    assert_int_equal(config.map_bytes, (uint64_t)512 << 20);
    assert_int_equal(config.commit_bytes, (uint64_t)200 << 20);
    assert_int_equal(config.ask_peers_s, 120);
    assert_int_equal(config.sync.live_credit_bytes, 600000);
    assert_int_equal(config.sync.compress, 1);
    assert_int_equal(config.log_level, LOG_DEBUG);
    config_done(&config);
}

/* A wrong line number sends the operator to the wrong line: each mistake has its own. */
static void test_mistakes_name_line_and_remedy(void **state)
{
    static const struct mistake {
        const char *text;
        unsigned line;
        const char *what; /* that the message holds, beside "accepted:" */
    } mistakes[] = {
        {"x = 1\n", 1, "before the first section"},
        {"\n\n[htpp]\n", 3, "unknown section [htpp]"},
        {"[http\n", 1, "KEY = VALUE"},
        {"[http] listen = none\n", 1, "text after"},
        {"[http]\nlisten\n", 2, "KEY = VALUE"},
        {"[http]\n[log]\n[http]\n", 3, "second time, first in line 1"},
        {"[http]\nlisen = 127.0.0.1:8480\n", 2, "accepted: listen, base-url"},
        {"[http]\nlisten = 8480\n", 2, "127.0.0.1:8480"},
        {"[http]\nlisten = localhost:8480\n", 2, "numeric"},
        {"[http]\nlisten = 127.0.0.1:65536\n", 2, "not understood"},
        {"[http]\nlisten = 127.0.0.1:+1\n", 2, "not understood"},
        {"[http]\nlisten = ::1:8480\n", 2, "[::1]:8480"},
        {"[http]\nlisten = []:8480\n", 2, "not understood"},
        {"[http]\nlisten = 127.0.0.1:1,\n", 2, "not understood"},
        {"[http]\nlisten = 1.1.1.1:1,1.1.1.1:1,1.1.1.1:1,1.1.1.1:1,1.1.1.1:1,1.1.1.1:1,1.1.1.1:1,"
         "1.1.1.1:1,1.1.1.1:1\n",
         2, "not understood"},
        {"[http]\nlisten = 127.0.0.1:1\n\nlisten = none\n", 4, "second time, first in line 2"},
        {"[http]\nlisten =\n", 2, "not understood"},
        {"[http]\nthreads = 65\n", 2, "to 64"},
        {"[http]\nthreads = -1\n", 2, "to 64"},
        {"[http]\nthreads = 1x\n", 2, "to 64"},
        {"[http]\nthreads = 99999999999999999999999\n", 2, "to 64"},
        {"[http]\nconnections = 0\n", 2, "1 to 100000"},
        {"[trust]\ncatalogue = region\n", 2, "origin id of a catalogue"},
        {"[trust]\ncollections = offers, gifts\n", 2, "names of collections"},
        {"[limits]\ncompress = 1\n", 2, "yes or no"},
        {"[trust]\ncollections =\n", 2, "names of collections"},
        {"[trust]\ncollections = 2\n", 2, "names of collections"},
        {"[trust]\ncollections = 32\n", 2, "14 to 31"},
        {"[trust]\ncollections = offers, offers\n", 2, "each once"},
        {"[trust]\ncollections = all\ncollections = all\n", 3, "second time"},
        {"[trust]\ncollections umea = offers\n", 2, "no origin umea above"},
        {"[trust]\norigin umea = " KEY_A "\ncollections umea = x\n", 3, "names of collections"},
        {"[trust]\norigin umea = " KEY_A "\ncollections umea = 14\ncollections umea = all\n", 4,
         "first in line 3"},
        {"[trust]\nlistings umea = 5\n", 2, "no origin umea above"},
        {"[trust]\nlistings = 5\n", 2, "listings NAME"},
        {"[trust]\norigin umea = " KEY_A "\nlistings umea = 1000000001\n", 3, "listings umea"},
        {"[trust]\norigin umea = " KEY_A "\nlistings umea = many\n", 3, "to 1000000000"},
        {"[trust]\norigin umea = " KEY_A "\nlistings umea = 0\nlistings umea = 1\n", 4,
         "first in line 3"},
        {"[trust]\ncharter umea = " KEY_A "\n", 2, "no origin umea above"},
        {"[trust]\norigin umea = " KEY_A "\ncharter umea = 7\n", 3, "hash of the right charter"},
        {"[trust]\norigin umea = " KEY_A "\ncharter umea = " KEY_A "\ncharter umea = " KEY_A "\n",
         4, "first in line 3"},
        {"[limits]\nlistings-per-origin = -1\n", 2, "0 (no limit)"},
        {"[http]\nbase-path = torg\n", 2, "/torg/v1"},
        {"[http]\nbase-path = /torg/\n", 2, "/torg/v1"},
        {"[http]\nbase-path = /a//b\n", 2, "/torg/v1"},
        {"[http]\nbase-path = /../x\n", 2, "/torg/v1"},
        {"[http]\nbase-url = ftp://x\n", 2, "https://"},
        {"[http]\nbase-url = https://x/\n", 2, "https://"},
        {"[http]\nbase-url = https://x\"y\n", 2, "https://"},
        {"[municipality]\nname =\n", 2, "1 to 200 bytes"},
        {"[municipality]\ncode = 2480\n", 2, "accepted: name, directory, keys"},
        {"[limits]\nmap-size = 1 MiB\n", 2, "16 MiB to 64 TiB"},
        {"[limits]\nmap-size = 1 GB\n", 2, "KiB, MiB, GiB"},
        {"[limits]\nmap-size = 99999999999 TiB\n", 2, "KiB, MiB, GiB"},
        {"[limits]\ncommit-memory = 513 MiB\n", 2, "64 MiB to 512 MiB"},
        {"[limits]\ncommit-memory = 0\n", 2, "auto"},
        {"[limits]\nask-peers = 2 h\n", 2, "1 h"},
        {"[limits]\nlive-credit = 8 GiB\n", 2, "64 MiB"},
        {"[log]\nlevel = loud\n", 2, "error, warn, info or debug"},
        {"[trust]\numea = " KEY_A "\n", 2, "origin NAME"},
        {"[trust]\norigin umeå = " KEY_A "\n", 2, "a name"},
        {"[trust]\norigin umea = 12\n", 2, "64 hex digits"},
        {"[trust]\norigin a = " KEY_A "\norigin b = " KEY_A "\n", 3, "origin a"},
        {"[trust]\norigin a = " KEY_A "\norigin a = " KEY_B "\n", 3, "origin a"},
        {"[peer]\n", 1, "unknown section"},
        {"[peer a b]\nkey = " KEY_A "\n", 1, "a name"},
        {"[peer aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]\nkey = " KEY_A "\n", 1, "a name"},
        {"\n[peer a]\naddress = h:1\n", 2, "has no key"},
        {"[peer a]\naddress = h:1\n[log]\nlevel = info\n", 1, "has no key"},
        {"[peer a]\nkey = " KEY_A "0\n", 2, "64 hex digits"},
        {"[peer a]\nkey = " KEY_A "\nkey = " KEY_B "\n", 3, "second time"},
        {"[peer a]\nkey = " KEY_A "\naddress = host\n", 3, "HOST:PORT"},
        {"[peer a]\nkey = " KEY_A "\naddress = host:0\n", 3, "HOST:PORT"},
        {"[peer a]\nkey = " KEY_A "\naddress = ho st:1\n", 3, "HOST:PORT"},
        {"[peer a]\nkey = " KEY_A "\n[peer b]\nkey = " KEY_A "\n", 4, "[peer a]"},
        {"[peer a]\nkey = " KEY_A "\n[peer a]\nkey = " KEY_B "\n", 3,
         "second time, first in line 1"},
        {"[peer a]\nkey = " KEY_A "\nport = 1\n", 3, "accepted: address, key, key-next"},
        {"# \xff\n", 1, "UTF-8"},
        {"[municipality]\nname = a\x01\n", 2, "control character"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(mistakes); i++) {
        struct config config;
        char message[512], place[128];
        enum torg_err err = read_text(mistakes[i].text, &config, message);

        if (err != TORG_E_CONFIG)
            fail_msg("%s: %s", mistakes[i].text, torg_err_text(err));
        snprintf(place, sizeof(place), "%s:%u: ", file_name, mistakes[i].line);
        if (strncmp(message, place, strlen(place)) != 0 || !strstr(message, mistakes[i].what) ||
            !strstr(message, "accepted: "))
            fail_msg("%s: line %u, \"%s\" expected, got: %s", mistakes[i].text, mistakes[i].line,
                     mistakes[i].what, message);
    }
}

static void test_unreadable_and_too_big(void **state)
{
    static char text[CONFIG_FILE_BYTES_MAX + 2];
    struct config config;
    char message[512];

    (void)state;
    assert_err(config_read("/nonexistent/federation.conf", &config, message, sizeof(message)),
               TORG_E_CONFIG);
    assert_non_null(strstr(message, "/nonexistent/federation.conf: cannot be read: No such file"));
    memset(text, '\n', sizeof(text) - 1);
    assert_err(read_text(text, &config, message), TORG_E_CONFIG);
    assert_non_null(strstr(message, "too big"));
    memset(text, '#', CONFIG_LINE_BYTES_MAX + 1);
    text[CONFIG_LINE_BYTES_MAX + 1] = 0;
    assert_err(read_text(text, &config, message), TORG_E_CONFIG);
    assert_non_null(strstr(message, ":1: too long"));
    write_file("[log]\nlevel = in\0fo\n", 20);
    assert_err(config_read(file_name, &config, message, sizeof(message)), TORG_E_CONFIG);
    assert_non_null(strstr(message, ":2: a control character"));
}

static char *slurp(const char *name)
{
    static char text[65536];
    char path[512];
    FILE *in;
    size_t size;

    snprintf(path, sizeof(path), "%s/%s", TEST_SOURCE_ROOT, name);
    in = fopen(path, "re");
    if (!in)
        fail_msg("%s cannot be read", path);
    size = fread(text, 1, sizeof(text) - 1, in);
    text[size] = 0;
    fclose(in);
    return text;
}

/* An example that does not work teaches its mistake to everybody. */
static void test_example_parses_and_has_every_key(void **state)
{
    struct config config;
    char message[512], line[128];
    const struct config_key *key;
    const char *text = slurp("federation.conf");

    (void)state;
    if (config_read(TEST_SOURCE_ROOT "/federation.conf", &config, message, sizeof(message)))
        fail_msg("%s", message);
    assert_int_equal(config.peer_count, 1);
    assert_int_equal(config.trust_count, 2);
    config_done(&config);
    for (size_t i = 0; (key = config_key_at(i)); i++) {
        if (strcmp(key->section, "trust") == 0)
            continue;
        snprintf(line, sizeof(line), "\n%s = ", key->name);
        if (strstr(text, line))
            continue;
        /* Not set: shown as a comment, with its default if it has one. */
        snprintf(line, sizeof(line), "\n;%s = %s", key->name, key->standard ? key->standard : "");
        if (!strstr(text, line))
            fail_msg("federation.conf does not show [%s] %s", key->section, key->name);
    }
}

static void test_manual_has_every_key_and_default(void **state)
{
    const char *text = slurp("man/federation.conf.5");
    const struct config_key *key;
    char needle[256];

    (void)state;
    for (size_t i = 0; (key = config_key_at(i)); i++) {
        const char *at, *end;

        snprintf(needle, sizeof(needle), "\n.Ss \\&[%s] ", key->section);
        at = strstr(text, needle);
        if (!at)
            fail_msg("the manual has no section [%s]", key->section);
        end = strstr(at + 1, "\n.Ss ");
        snprintf(needle, sizeof(needle), "\n.It Ic %s\n", key->name);
        at = strstr(at, needle);
        if (!at || (end && at > end))
            fail_msg("the manual has no key %s in [%s]", key->name, key->section);
        snprintf(needle, sizeof(needle), "\nDefault: %s.\n",
                 key->standard ? key->standard : "none");
        end = strstr(at + 1, "\n.It ");
        at = strstr(at, needle);
        if (!at || (end && at > end))
            fail_msg("the manual does not give the default of %s in [%s]: %s", key->name,
                     key->section, key->standard ? key->standard : "none");
    }
}

static int setup(void **state)
{
    int fd;

    (void)state;
    snprintf(file_name, sizeof(file_name), "/tmp/torg-test-config.XXXXXX");
    fd = mkstemp(file_name);
    return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
    (void)state;
    return unlink(file_name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_whole_file),
        cmocka_unit_test(test_mistakes_name_line_and_remedy),
        cmocka_unit_test(test_unreadable_and_too_big),
        cmocka_unit_test(test_example_parses_and_has_every_key),
        cmocka_unit_test(test_manual_has_every_key_and_default),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
