/*
 * The pgpool program: hands its command line to proc/.
 */
int
main(void)
{
    return 0;
}
