/*
 * Any bytes as pool_hba.conf, pool_ident.conf and files that they include.
 *
 * Bytes 0xff part them: /e/0 is pool_hba.conf, /e/1 pool_ident.conf, /e/2 and so on whatever is
 * included; /e/d is a directory that holds all of them. Checked besides memory: each line has
 * either a number or an error, errors keep everybody out, what a client gets depends on roles and
 * names only when it was said so, and a copy of the files says the same as the files.
 */
#include "fuzz.h"

#include "auth/hba.h"
#include "auth/hba_copy.h"
#include "auth/ident.h"
#include "base/buf.h"

#include <netinet/in.h>
#include <stdlib.h>

enum { FILES_MAX = 6 };

struct files {
    const uint8_t *data;
    size_t size;
};

/* The n-th part. */
static bool
part(const struct files *files, unsigned n, struct buf *text)
{
    const uint8_t *at = files->data;
    const uint8_t *end = files->data + files->size;

    for (;; n--) {
        const uint8_t *stop = at < end ? memchr(at, 0xff, (size_t)(end - at)) : NULL;

        if (n == 0) {
            buf_add(text, at, (size_t)((stop != NULL ? stop : end) - at));
            return true;
        }
        if (stop == NULL)
            return false;
        at = stop + 1;
    }
}

static int
read_part(void *ctx, const char *path, struct buf *text, struct err *err)
{
    if (strncmp(path, "/e/", 3) != 0 || path[3] < '0' || path[3] >= '0' + FILES_MAX)
        return err_set(err, "58P01", "could not open file");
    return part(ctx, (unsigned)(path[3] - '0'), text) ? 0 : 1;
}

static int
list_parts(void *ctx, const char *path, struct buf *paths, struct err *err)
{
    (void)ctx;
    if (strcmp(path, "/e/d") != 0)
        return err_set(err, "58P01", "could not open directory");
    buf_add_cstr(paths, "/e/2");
    buf_add_cstr(paths, "/e/3");
    return 0;
}

static void
print_line(const struct hba_line *line, struct buf *out)
{
    buf_printf(out, "%s:%u %u ", line->file, line->number, line->rule);
    if (line->error != NULL) {
        buf_add_str(out, line->error);
        return;
    }
    hba_print_names(&line->databases, out);
    hba_print_names(&line->users, out);
    hba_print_address(line, out);
    hba_print_netmask(line, out);
    hba_print_options(line, out);
    buf_printf(out, "%s %s\n", hba_type_name(line->type), hba_method_name(line->method));
}

static void
check_lines(const struct hba *h, struct buf *out)
{
    const struct hba_line *line;
    uint32_t rules = 0;
    bool faulty = false;

    for (uint32_t n = 0; (line = hba_line_at(h, n)) != NULL; n++) {
        faulty |= line->error != NULL;
        if (line->rule != (line->error != NULL ? 0 : ++rules))
            BUG("a line has the wrong number");
        if (line->error != NULL && line->error[0] == '\0')
            BUG("an error without words");
        print_line(line, out);
    }
    if (faulty == hba_is_good(h))
        BUG("a file is good with a fault, or faulty without");
}

static void
check_match(const struct hba *h, struct hba_client client)
{
    static const char *const names[] = {"joe", "staff"};
    static const struct hba_roles roles = {names, 2};
    static const struct hba_nets nets = {NULL, 0};
    const struct hba_line *line;
    const struct hba_line *later;
    enum hba_result result = hba_match(h, &client, &line);

    if ((result == HBA_MATCH) != (line != NULL) || (line != NULL && line->error != NULL))
        BUG("a match without a good line");
    if (!hba_is_good(h) && result != HBA_NO_MATCH)
        BUG("a faulty file lets somebody in");
    client.roles = &roles;
    client.host_name = "db.example.com";
    client.nets = client.nets != NULL ? &nets : NULL;
    switch (hba_match(h, &client, &later)) {
    case HBA_MATCH:
    case HBA_NO_MATCH:
        if (later != line && (result == HBA_MATCH || result == HBA_NO_MATCH))
            BUG("roles or a name changed what did not depend on them");
        break;
    default:
        BUG("asks for what it was told");
    }
}

static void
check_rules(const struct hba_reader *reader, struct buf *out)
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr = {0x0100000a}};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct hba_client client = {.user = "joe", .database = "shop"};
    struct hba *h = hba_load(reader, "/e/0");

    check_lines(h, out);
    check_match(h, client);
    client.addr = (const struct sockaddr *)&four;
    check_match(h, client);
    client.tls = true;
    client.addr = (const struct sockaddr *)&six;
    check_match(h, client);
    client.replication = true;
    check_match(h, client);
    hba_unref(h);
}

static void
check_maps(const struct hba_reader *reader)
{
    struct ident *i = ident_load(reader, "/e/1");
    const struct ident_line *line;
    bool faulty = false;

    for (uint32_t n = 0; (line = ident_line_at(i, n)) != NULL; n++) {
        struct ident_question q = {.map = line->map, .system_user = "joe@x", .role = "joe"};

        faulty |= line->error != NULL;
        if (line->error == NULL)
            ident_map(i, &q);
    }
    if (faulty == ident_is_good(i))
        BUG("a file is good with a fault, or faulty without");
    ident_unref(i);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct files files = {data, size};
    const struct hba_reader disk = {&files, read_part, list_parts};
    struct hba_copy copy = {BUF_EMPTY, &disk};
    struct hba_reader reader = hba_copy_reader(&copy);
    struct buf first = BUF_EMPTY;
    struct buf second = BUF_EMPTY;

    check_rules(&reader, &first);
    check_maps(&reader);
    check_rules(&disk, &second);
    if (strcmp(buf_cstr(&first), buf_cstr(&second)) != 0)
        BUG("a copy says something else");
    buf_free(&copy.bytes);
    buf_free(&first);
    buf_free(&second);
    return 0;
}
