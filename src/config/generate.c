/*
 * Prints what is kept in the tree and made from the option table: `config-generate sample` and
 * `config-generate man`. A tool of the build, not installed.
 */
#include "config/config.h"

#include <stdio.h>
#include <string.h>

int
main(int argc, char **argv)
{
    struct buf out = BUF_EMPTY;
    bool complete;

    if (argc == 2 && strcmp(argv[1], "sample") == 0) {
        config_print_sample(&out);
    } else if (argc == 2 && strcmp(argv[1], "man") == 0) {
        config_print_man(&out);
    } else {
        fprintf(stderr, "usage: config-generate sample|man\n");
        return 2;
    }
    complete = fwrite(out.data, 1, out.len, stdout) == out.len;
    complete = fclose(stdout) == 0 && complete;
    buf_free(&out);
    return complete ? 0 : 1;
}
