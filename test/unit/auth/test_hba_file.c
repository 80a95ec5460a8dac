/*
 * Lines, fields and tokens; quotes, continuation, includes, bounds; the copy for other processes.
 */
#include "auth/hba_copy.h"
#include "base/num.h"
#include "files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static struct buf printed;

/* file:number[field field ...] with tokens between commas, quoted ones in '': one line each. */
static void
print_line(void *ctx, const struct hba_file_line *line)
{
    (void)ctx;
    buf_printf(&printed, "%s:%u", line->file, line->number);
    if (line->error != NULL)
        buf_printf(&printed, "!%s", line->error);
    for (uint32_t n = 0; n < line->count && line->error == NULL; n++) {
        const struct hba_field *field = &line->fields[n];

        for (uint32_t at = 0; at < field->count; at++)
            buf_printf(&printed, field->tokens[at].quoted ? "%s'%s'" : "%s%s", at > 0 ? "," : " ",
                       field->tokens[at].text);
    }
    buf_add_u8(&printed, '\n');
}

static const char *
print_through(const struct hba_reader *reader)
{
    struct arena arena;

    buf_clear(&printed);
    arena_init(&arena, 0);
    hba_file_read(reader, "/e/h", &arena, print_line, NULL);
    arena_fini(&arena);
    return buf_cstr(&printed);
}

static const char *
print_files(const struct file *files)
{
    struct hba_reader reader = files_reader(files);

    return print_through(&reader);
}

static const char *
print_text(const char *text)
{
    const struct file files[] = {{"/e/h", text, 0}, {NULL, NULL, 0}};

    return print_files(files);
}

static void
lines_are_fields_of_tokens(void **state)
{
    (void)state;
    assert_string_equal(print_text(""), "");
    assert_string_equal(print_text("\n \t\n# all of it\n  # x\r\n"), "");
    assert_string_equal(print_text("a b,c\td # e\n\nf"), "/e/h:1 a b,c d\n/e/h:3 f\n");
    assert_string_equal(print_text("a b, c, ,d e\r\n"), "/e/h:1 a b,c,d e\n");
    assert_string_equal(print_text("a , b\n,c,\n"), "/e/h:1 a b\n/e/h:2 c\n");
    assert_string_equal(print_text("a#b c\n"), "/e/h:1 a\n");
    assert_string_equal(print_text("a\\b \\\\c\n"), "/e/h:1 a\\b \\\\c\n");
}

static void
quotes_take_meaning_away(void **state)
{
    (void)state;
    assert_string_equal(print_text("\"a b\" \"c,d\" \"#\""), "/e/h:1 'a b' 'c,d' '#'\n");
    assert_string_equal(print_text("\"a\"\"b\" \"\" \"\"\"\""), "/e/h:1 'a\"b' '' '\"'\n");
    assert_string_equal(print_text("a\"b c\"d"), "/e/h:1 ab cd\n");
    assert_string_equal(print_text("\"@x\" @ \"\"@x"), "/e/h:1 '@x' @ '@x'\n");
    assert_string_equal(print_text("a \"b\nc"),
                        "/e/h:1!double quotes that the line does not close\n/e/h:2 c\n");
}

static void
a_backslash_continues_a_line(void **state)
{
    (void)state;
    assert_string_equal(print_text("a \\\nb\\\nc\nd\n"), "/e/h:1 a bc\n/e/h:4 d\n");
    assert_string_equal(print_text("a \\\r\nb\r\n"), "/e/h:1 a b\n");
    assert_string_equal(print_text("a \"b\\\nc\"\n"), "/e/h:1 a 'bc'\n");
    assert_string_equal(print_text("# a \\\nb\nc\n"), "/e/h:3 c\n");
    assert_string_equal(print_text("a \\\\\n\nb\n"), "/e/h:1 a \\\n/e/h:3 b\n");
    assert_string_equal(print_text("a \\\n"), "/e/h:1 a\n");
    assert_string_equal(print_text("a\\"), "/e/h:1 a\n");
}

static void
a_nul_byte_is_a_fault_of_its_line(void **state)
{
    const struct file files[] = {{"/e/h", "a\nb\0c\nd", 7}, {NULL, NULL, 0}};

    (void)state;
    assert_string_equal(print_files(files), "/e/h:1 a\n/e/h:2!unexpected byte 0x00\n/e/h:3 d\n");
}

static void
files_are_included_where_they_stand(void **state)
{
    const struct file files[] = {
        {"/e/h", "a\ninclude sub/x\nb\ninclude_dir d\ninclude_if_exists none\n\"include\" c\n", 0},
        {"/e/sub/x", "x1\ninclude y\n", 0},
        {"/e/sub/y", "y1", 0},
        {"/e/d/1.conf", "d1", 0},
        {"/e/d/2.conf", "d2\ninclude /e/sub/y", 0},
        {"/e/d/3.txt", "d3", 0},
        {NULL, NULL, 0}};

    (void)state;
    assert_string_equal(print_files(files),
                        "/e/h:1 a\n/e/sub/x:1 x1\n/e/sub/y:1 y1\n/e/h:3 b\n/e/d/1.conf:1 d1\n"
                        "/e/d/2.conf:1 d2\n/e/sub/y:1 y1\n/e/h:6 'include' c\n");
}

static void
what_cannot_be_included_is_a_fault_there(void **state)
{
    const struct file files[] = {
        {"/e/h",
         "include none\ninclude_if_exists bad\ninclude a b\ninclude_dir\ninclude_dir q\n"
         "include a,b\ninclude @none\n",
         0},
        {"/e/bad", NULL, 0},
        {NULL, NULL, 0}};
    struct hba_reader reader = {(void *)(uintptr_t)files, files_read, NULL};

    (void)state;
    assert_string_equal(print_files(files),
                        "/e/h:1!there is no file \"/e/none\"\n"
                        "/e/h:2!could not open file \"/e/bad\": Permission denied\n"
                        "/e/h:3!\"include\" is followed by one name of a file\n"
                        "/e/h:4!\"include_dir\" is followed by one name of a directory\n"
                        "/e/h:5!could not open directory \"/e/q\": No such file or directory\n"
                        "/e/h:6!\"include\" is followed by one name of a file\n"
                        "/e/h:7!there is no file \"/e/none\"\n");
    assert_non_null(strstr(print_through(&reader), "/e/h:5!include_dir cannot be used here\n"));
}

static void
the_file_itself_may_lack(void **state)
{
    const struct file none[] = {{NULL, NULL, 0}};
    const struct file bad[] = {{"/e/h", NULL, 0}, {NULL, NULL, 0}};

    (void)state;
    assert_string_equal(print_files(none), "/e/h:0!there is no file \"/e/h\"\n");
    assert_string_equal(print_files(bad),
                        "/e/h:0!could not open file \"/e/h\": Permission denied\n");
}

static void
names_come_from_files(void **state)
{
    const struct file files[] = {{"/e/h", "a @n,b,@sub/m c\n@empty\nx @none\ny @q\n", 0},
                                 {"/e/n", "# who\nn1 n2, \"n 3\"\n\nn4\\\nn5\n", 0},
                                 {"/e/sub/m", "m1 @k", 0},
                                 {"/e/sub/k", "all", 0},
                                 {"/e/empty", "# nobody\n", 0},
                                 {"/e/q", "ok\n\"bad\n", 0},
                                 {NULL, NULL, 0}};

    (void)state;
    assert_string_equal(print_files(files),
                        "/e/h:1 a n1,n2,'n 3',n4n5,b,m1,all c\n"
                        "/e/h:2!file \"/e/empty\" holds no name\n"
                        "/e/h:3!there is no file \"/e/none\"\n"
                        "/e/h:4!/e/q:2: double quotes that the line does not close\n");
}

static void
files_within_files_are_bounded(void **state)
{
    const struct file loop[] = {{"/e/h", "a\ninclude h\n", 0}, {NULL, NULL, 0}};
    const struct file many[] = {{"/e/h", "include h\ninclude h\ninclude h\ninclude h\n", 0},
                                {NULL, NULL, 0}};
    const struct file names[] = {{"/e/h", "a @n", 0}, {"/e/n", "@n @n", 0}, {NULL, NULL, 0}};
    const char *text = print_files(loop);
    unsigned lines = 0;

    (void)state;
    for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++)
        lines++;
    assert_int_equal(lines, HBA_DEPTH_MAX + 2);
    assert_non_null(strstr(text, "/e/h:2!files include each other more than 10 deep"));
    assert_non_null(strstr(print_files(many), "!too much is included"));
    assert_non_null(strstr(print_files(names), "files stand within each other more than 10 deep"));
}

static char *
repeat(const char *text, size_t times)
{
    struct buf all = BUF_EMPTY;

    for (size_t n = 0; n < times; n++)
        buf_add_str(&all, text);
    buf_cstr(&all);
    return (char *)all.data;
}

static void
sizes_are_bounded(void **state)
{
    char *lines = repeat("a\n", HBA_LINES_MAX + 10);
    char *token = repeat("a", HBA_TOKEN_MAX + 1);
    char *file = repeat("# 45678\n", HBA_FILE_MAX / 8 + 1);
    const char *text = print_text(lines);

    (void)state;
    assert_non_null(strstr(text, "/e/h:20001!there are more than 20000 lines\n"));
    assert_null(strstr(text, "/e/h:20002"));
    assert_string_equal(print_text(token), "/e/h:1!a word is longer than 10000 bytes\n");
    token[HBA_TOKEN_MAX] = '\0';
    assert_null(strchr(print_text(token), '!'));
    assert_string_equal(print_text(file), "/e/h:0!file \"/e/h\" is larger than 1048576 bytes\n");
    free(lines);
    free(token);
    free(file);
}

/* ---- the copy ---- */

static const struct file copied[] = {
    {"/e/h", "a @n\ninclude_if_exists none\ninclude_dir d\ninclude_dir d\ninclude x\n", 0},
    {"/e/n", "n", 0},
    {"/e/d/1.conf", "d", 0},
    {"/e/x", "", 0},
    {NULL, NULL, 0}};

static void
a_copy_says_the_same_without_the_files(void **state)
{
    struct hba_reader from = files_reader(copied);
    struct hba_copy copy = {BUF_EMPTY, &from};
    struct hba_reader reader = hba_copy_reader(&copy);
    struct buf text = BUF_EMPTY;
    char *first = strdup(print_through(&reader));
    size_t len = copy.bytes.len;
    struct err err;

    (void)state;
    assert_string_equal(first, print_files(copied));
    copy.from = NULL;
    assert_string_equal(first, print_through(&reader));
    assert_int_equal(copy.bytes.len, len);
    assert_int_equal(reader.read(reader.ctx, "/e/other", &text, &err), -1);
    assert_string_equal(err.message, "file \"/e/other\" is not among those that were read");
    assert_int_equal(reader.list(reader.ctx, "/e/other", &text, &err), -1);
    assert_int_equal(reader.read(reader.ctx, "/e/none", &text, &err), 1);
    assert_int_equal(text.len, 0);
    free(first);
    buf_free(&copy.bytes);
}

static void
a_faulty_copy_is_read_within_its_bounds(void **state)
{
    struct hba_reader from = files_reader(copied);
    struct hba_copy copy = {BUF_EMPTY, &from};
    struct hba_reader reader = hba_copy_reader(&copy);
    struct hba_copy cut;
    struct hba_reader cut_reader = hba_copy_reader(&cut);

    (void)state;
    print_through(&reader);
    for (size_t len = 0; len < copy.bytes.len; len++) {
        cut = (struct hba_copy){BUF_EMPTY, NULL};
        buf_add(&cut.bytes, copy.bytes.data, len);
        assert_non_null(strchr(print_through(&cut_reader), '!'));
        buf_free(&cut.bytes);
    }
    num_put_u32(copy.bytes.data + 6, UINT32_MAX);
    copy.from = NULL;
    assert_non_null(strchr(print_through(&reader), '!'));
    buf_free(&copy.bytes);
}

static int
teardown(void **state)
{
    (void)state;
    buf_free(&printed);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_fields_of_tokens),
        cmocka_unit_test(quotes_take_meaning_away),
        cmocka_unit_test(a_backslash_continues_a_line),
        cmocka_unit_test(a_nul_byte_is_a_fault_of_its_line),
        cmocka_unit_test(files_are_included_where_they_stand),
        cmocka_unit_test(what_cannot_be_included_is_a_fault_there),
        cmocka_unit_test(the_file_itself_may_lack),
        cmocka_unit_test(names_come_from_files),
        cmocka_unit_test(files_within_files_are_bounded),
        cmocka_unit_test(sizes_are_bounded),
        cmocka_unit_test(a_copy_says_the_same_without_the_files),
        cmocka_unit_test(a_faulty_copy_is_read_within_its_bounds),
    };

    return cmocka_run_group_tests_name("hba_file", tests, NULL, teardown);
}
