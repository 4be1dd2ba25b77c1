/* SPDX-License-Identifier: EUPL-1.2 */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/log.h"
#include "daemon/node.h"
#include "index/store_room.h"

/*
 * torgd: options, signals, the service manager. Signals are blocked in every
 * thread and taken by this one, which has nothing else to do.
 */
#define CONFIG_FILE "/etc/torg/federation.conf"
#define LOOK_S 1              /* how often the node is asked whether it can go on */
#define DESCRIPTORS_SPARE 256 /* for files, neighbours, the operators */

static const char help[] =
    "torgd - run one node of the federation\n"
    "\n"
    "usage: torgd [--config FILE] [--confirm-guard]\n"
    "       torgd --check-config FILE\n"
    "\n"
    "  --config FILE        default " CONFIG_FILE "\n"
    "  --check-config FILE  say whether FILE is right: file, line and what is accepted\n"
    "  --confirm-guard      after a restore, when no peer can tell: this data directory\n"
    "                       holds the newest that this municipality has published\n"
    "  --version\n"
    "  --help\n"
    "\n"
    "SIGHUP reads peers, origins, limits, log level and certificate again; SIGTERM\n"
    "ends it.\n"
    "Manual: torgd(8), federation.conf(5). A new municipality begins with: torg init\n";

struct options {
    const char *config;
    bool check, confirm_guard;
};

/* true: go on. false: done, with *ret_status. */
static bool options_read(int argc, char **argv, struct options *options, int *ret_status)
{
    static const struct option names[] = {
        {"config", required_argument, NULL, 'c'},  {"check-config", required_argument, NULL, 'k'},
        {"confirm-guard", no_argument, NULL, 'g'}, {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},          {0},
    };
    int option;

    *options = (struct options){.config = CONFIG_FILE};
    *ret_status = 0;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (option) {
        case 'c':
            options->config = optarg;
            break;
        case 'k':
            options->config = optarg;
            options->check = true;
            break;
        case 'g':
            options->confirm_guard = true;
            break;
        case 'v':
            printf("torgd %s\n", TORG_VERSION);
            return false;
        case 'h':
            fputs(help, stdout);
            return false;
        default:
            fputs("torgd --help says what is accepted\n", stderr);
            *ret_status = 2;
            return false;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "torgd: %s: not understood; torgd --help says what is accepted\n",
                argv[optind]);
        *ret_status = 2;
        return false;
    }
    return true;
}

/* ---- the service manager (sd_notify(3), without its library) ---- */

static void notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = path ? strlen(path) : 0;
    int fd;

    if (size == 0 || size >= sizeof(address.sun_path) || (*path != '/' && *path != '@'))
        return;
    memcpy(address.sun_path, path, size);
    if (*path == '@')
        address.sun_path[0] = 0;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    (void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address,
                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size));
    close(fd);
}

static void notify_reloading(void)
{
    char state[64];

    snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%lld",
             (long long)clock_monotonic_us());
    notify(state);
}

/* ---- running ---- */

static void log_start(const struct config *config, const struct node *node)
{
    struct node_ports ports = node_ports(node);
    struct config_address http = config->http[0], peers = config->peer_listen[0],
                          admin = config->admin[0];
    char texts[3][CONFIG_ADDRESS_BYTES_MAX] = {"none", "none", "none"};
    char name[LOG_VALUE_BYTES_MAX], directory[LOG_VALUE_BYTES_MAX];

    http.port = ports.http;
    peers.port = ports.peers;
    admin.port = ports.admin;
    if (config->http_count)
        config_address_format(&http, texts[0]);
    if (config->peer_listen_count)
        config_address_format(&peers, texts[1]);
    if (config->admin_count)
        config_address_format(&admin, texts[2]);
    log_event(LOG_INFO, "torgd.start",
              "name=%s version=%s http=%s peers=%s admin=%s directory=%s commit_memory=%" PRIu64
              " pid=%ld",
              log_value(name, config->name), TORG_VERSION, texts[0], texts[1], texts[2],
              log_value(directory, config->directory), node->commit_bytes, (long)getpid());
}

/* An invalid new file changes nothing. */
static void reload(struct node *node, const char *file)
{
    struct config config;
    char message[NODE_MESSAGE_BYTES_MAX], value[LOG_VALUE_BYTES_MAX];
    enum torg_err err;

    notify_reloading();
    err = config_read(file, &config, message, sizeof(message));
    if (err) {
        log_event(LOG_ERROR, "config.refused", "err=%s: the old configuration stays",
                  log_value(value, message));
    } else {
        err = node_reload(node, &config);
        if (err)
            log_event(LOG_ERROR, "config.refused", "err=\"%s\": the old configuration stays",
                      torg_err_text(err));
        config_done(&config); /* what was not taken over */
    }
    notify("READY=1");
}

/* Until a signal ends it, or the store. Returns the exit status. */
static int serve(struct node *node, const char *file, const sigset_t *signals)
{
    const struct timespec look = {.tv_sec = LOOK_S};

    for (;;) {
        int number = sigtimedwait(signals, NULL, &look);

        if (number == SIGHUP) {
            reload(node, file);
        } else if (number > 0) {
            log_event(LOG_INFO, "torgd.stop", "signal=%s", sigabbrev_np(number));
            return 0;
        } else if (node_is_broken(node)) {
            log_event(LOG_ERROR, "torgd.stop",
                      "err=\"the store cannot be read any more\" remedy=\"see to the disk and "
                      "start again\"");
            return 1;
        }
    }
}

static void signals_prepare(sigset_t *ret_signals)
{
    signal(SIGPIPE, SIG_IGN); /* a closed socket is an error of write, not our end */
    signal(SIGXFSZ, SIG_IGN); /* so is a file that may not grow */
    sigemptyset(ret_signals);
    sigaddset(ret_signals, SIGTERM);
    sigaddset(ret_signals, SIGINT);
    sigaddset(ret_signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, ret_signals, NULL);
}

/*
 * Each connection is a descriptor. The usual soft limit is 1024, for programs that
 * use select(); we do not.
 */
static void descriptors_prepare(const struct config *config)
{
    uint64_t wanted = (uint64_t)config->http_connections_max + config->handshakes_max +
                      config->peer_count + DESCRIPTORS_SPARE;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit))
        return;
    if (limit.rlim_cur < wanted) {
        limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur < wanted)
        log_event(LOG_WARN, "torgd.descriptors",
                  "limit=%llu wanted=%llu: connections beyond it are refused; lower connections in "
                  "[http], or raise LimitNOFILE",
                  (unsigned long long)limit.rlim_cur, (unsigned long long)wanted);
}

int main(int argc, char **argv)
{
    char message[NODE_MESSAGE_BYTES_MAX];
    struct options options;
    struct config config;
    struct node *node;
    sigset_t signals;
    int status;

    if (!options_read(argc, argv, &options, &status))
        return status;
    umask(077);
    signals_prepare(&signals);
    if (config_read(options.config, &config, message, sizeof(message))) {
        fprintf(stderr, "torgd: %s\n", message);
        return 1;
    }
    if (options.check) {
        printf("%s: ok\n", options.config);
        config_done(&config);
        return 0;
    }
    log_set_level((enum log_level)config.log_level);
    descriptors_prepare(&config);
    store_room_keep();
    if (seal_init()) {
        fputs("torgd: libsodium cannot start; is there a source of randomness?\n", stderr);
        status = 1;
    } else if (node_start(&config, options.confirm_guard, &node, message)) {
        fprintf(stderr, "torgd: %s\n", message);
        status = 1;
    } else {
        log_start(&config, node);
        notify("READY=1");
        status = serve(node, options.config, &signals);
        notify("STOPPING=1");
        node_stop(node);
    }
    config_done(&config);
    return status;
}
