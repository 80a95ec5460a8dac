/*
 * Which line of a pool_hba.conf a client gets, for test_hba_match.py.
 *
 *   hba_match FILE    reads "user database address roles" from stdin, a client a line, and prints
 *                     "line N", "none", "roles" or "name" for each. address: "local", or one;
 *                     roles: names between commas, "-" for none, "?" when nobody has asked.
 */
#include "auth/hba.h"
#include "base/arena.h"
#include "os/file.h"
#include "os/here.h"
#include "os/sock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROLES_MAX = 64 };

static int
read_file(void *ctx UNUSED, const char *path, struct buf *text, struct err *err)
{
    return file_exists(path) ? file_read(path, HBA_FILE_MAX, text, err) : 1;
}

static void
split_roles(char *text, const char **names, struct hba_roles *roles_r)
{
    char *rest = text;

    *roles_r = (struct hba_roles){names, 0};
    while (rest != NULL && strcmp(text, "-") != 0 && roles_r->count < ROLES_MAX) {
        char *comma = strchr(rest, ',');

        names[roles_r->count++] = rest;
        if (comma != NULL)
            *comma++ = '\0';
        rest = comma;
    }
}

static void
take_nets(struct hba_nets *nets_r)
{
    struct here_network *found;
    struct hba_net *list;
    struct err err;

    if (here_networks(&found, &nets_r->count, &err) != 0)
        exit(2);
    list = xcalloc(MAX(nets_r->count, 1U), sizeof(*list));
    for (uint32_t n = 0; n < nets_r->count; n++) {
        list[n].family = found[n].family;
        memcpy(list[n].address, found[n].address, sizeof(list[n].address));
        memcpy(list[n].mask, found[n].mask, sizeof(list[n].mask));
    }
    free(found);
    nets_r->list = list;
}

static void
answer(const struct hba *h, const struct hba_nets *nets, char *words[4])
{
    static const char *const results[] = {"line", "none", "roles", "name"};
    struct hba_client client = {.user = words[0], .database = words[1], .nets = nets};
    const char *names[ROLES_MAX];
    struct sock_address address;
    const struct hba_line *line;
    struct hba_roles roles;
    enum hba_result result;

    if (sock_parse_literal(words[2], 1, &address))
        client.addr = sock_addr(&address);
    split_roles(words[3], names, &roles);
    if (strcmp(words[3], "?") != 0)
        client.roles = &roles;
    result = hba_match(h, &client, &line);
    if (line != NULL)
        printf("line %u\n", line->number);
    else
        printf("%s\n", results[result]);
}

int
main(int argc, char **argv)
{
    const struct hba_reader reader = {NULL, read_file, NULL};
    char line[4096];
    struct hba_nets nets;
    struct hba *h;

    if (argc != 2)
        return 2;
    take_nets(&nets);
    h = hba_load(&reader, argv[1]);
    while (fgets(line, sizeof(line), stdin) != NULL) {
        char *words[4];
        char *at = line;

        for (int n = 0; n < 4; n++) {
            words[n] = at;
            at += strcspn(at, n < 3 ? " " : "\n");
            if (*at == '\0')
                return 2;
            *at++ = '\0';
        }
        answer(h, &nets, words);
    }
    hba_unref(h);
    free((void *)(uintptr_t)nets.list);
    return 0;
}
