/*
 * The pgpool program: hands its command line to proc/, or that of "pgpool top" to tools/.
 */
#include "os/title.h"
#include "proc/start.h"
#include "tools/top.h"

#include <string.h>

int
main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "top") == 0)
        return top_main(argc - 1, argv + 1);
    title_init(argc, argv);
    return command_main(argc, argv);
}
