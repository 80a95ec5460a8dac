/*
 * The pgpool program: hands its command line to proc/.
 */
#include "os/title.h"
#include "proc/start.h"

int
main(int argc, char **argv)
{
    title_init(argc, argv);
    return command_main(argc, argv);
}
