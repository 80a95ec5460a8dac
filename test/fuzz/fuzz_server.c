/*
 * The queue of owed answers beside a model of a server that keeps to the protocol.
 *
 * An input is a sequence of steps: a client's message is sent, or the server looks at the oldest
 * one that it has not seen, and answers as the step's byte chooses. Checked for each answer: the
 * queue knows whose it is and that it was owed; and whenever the server has seen everything, both
 * agree on what is left.
 *
 * Source of the model: PostgreSQL's manual, chapter "Message Flow".
 */
#include "fuzz.h"

#include "pool/pending.h"

enum {
    MESSAGES_MAX = 4000,
    SERVER_BIT = 128, /* of a step: the server's turn */
    SKIP_BIT = 64,    /* of a client's step */
    /* of a server's step, of which several may hold; else the message succeeds */
    FAILS = 1,
    COPIES = 2,
    SAYS_MORE = 4,
    OTHER_END = 8,
    GIVES_UP = 16, /* in COPY: fails before it reads on */
};

struct message {
    uint8_t kind;
    bool skip;
    uint32_t settled;
};

struct bed {
    struct pending p;
    struct message messages[MESSAGES_MAX];
    uint32_t sent;
    uint32_t seen;
    struct message *copying; /* the command whose data the server reads */
    bool ignoring;           /* up to the next Sync */
    bool in_doubt;           /* nobody can tell any more */
};

static void
settled(void *ctx UNUSED, const struct pending_entry *e, bool done UNUSED)
{
    struct message *m = e->tag;

    if (m->settled++ > 0)
        BUG("a tag is settled again");
}

static bool
is_simple(const struct message *m)
{
    return m->kind == PENDING_QUERY || m->kind == PENDING_CALL || m->kind == PENDING_SYNC;
}

/* An error is told to whoever asked for the Sync that it leads to. */
static bool
error_is_skipped(const struct bed *bed, const struct message *m)
{
    if (is_simple(m))
        return m->skip;
    for (; m < bed->messages + bed->sent; m++) {
        if (m->kind == PENDING_SYNC && m->settled == 0)
            return m->skip;
    }
    return false;
}

/* One message of the server that belongs to what m asked. */
static void
say(struct bed *bed, const struct message *m, char type)
{
    bool skip = type == 'E' ? error_is_skipped(bed, m) : m->skip;
    struct pending_step step = pending_answer(&bed->p, (uint8_t)type, settled, bed);

    if (step.unasked)
        BUG("an answer \"%c\" to kind %d counts as unasked", type, m->kind);
    if (step.skip != skip)
        BUG("an answer \"%c\" to kind %d goes to somebody else", type, m->kind);
    if (step.cycle_end != (type == 'Z') || (step.cycle_end && step.ended.tag != m))
        BUG("an answer \"%c\" to kind %d ends another cycle", type, m->kind);
}

static void
fail(struct bed *bed, const struct message *m)
{
    bed->copying = NULL;
    say(bed, m, 'E');
    if (is_simple(m))
        say(bed, m, 'Z');
    else
        bed->ignoring = true;
}

/* A command is at its end, or at a COPY in it. */
static void
run(struct bed *bed, struct message *m, uint8_t how)
{
    if ((how & SAYS_MORE) != 0) {
        if (m->kind == PENDING_QUERY)
            say(bed, m, 'T');
        say(bed, m, 'D');
    }
    if ((how & COPIES) != 0) {
        say(bed, m, 'G');
        bed->copying = m;
        return;
    }
    say(bed, m, (how & OTHER_END) != 0 ? 'I' : 'C');
    if (m->kind == PENDING_QUERY)
        say(bed, m, 'Z');
}

static void
reply(struct bed *bed, struct message *m, uint8_t how)
{
    switch (m->kind) {
    case PENDING_QUERY:
    case PENDING_EXECUTE:
        run(bed, m, how);
        break;
    case PENDING_CALL:
        say(bed, m, 'V');
        say(bed, m, 'Z');
        break;
    case PENDING_SYNC:
        say(bed, m, 'Z');
        break;
    case PENDING_DESCRIBE:
        if ((how & SAYS_MORE) != 0)
            say(bed, m, 't');
        say(bed, m, (how & OTHER_END) != 0 ? 'n' : 'T');
        break;
    case PENDING_PARSE:
        say(bed, m, '1');
        break;
    case PENDING_BIND:
        say(bed, m, '2');
        break;
    default:
        say(bed, m, '3');
        break;
    }
}

/* In COPY, Sync is ignored, and anything but the end of the data makes it fail. */
static void
copy(struct bed *bed, const struct message *m, uint8_t how)
{
    struct message *command = bed->copying;

    if (m->kind == PENDING_SYNC)
        return;
    if (m->kind != PENDING_COPY_END || (how & FAILS) != 0) {
        fail(bed, command);
        return;
    }
    bed->copying = NULL;
    if (command->kind == PENDING_QUERY && (how & COPIES) != 0)
        say(bed, command, 'C'); /* another COPY in the same text */
    run(bed, command, how & (COPIES | OTHER_END));
}

static void
server(struct bed *bed, uint8_t how)
{
    struct message *m;

    if (bed->copying != NULL && (how & GIVES_UP) != 0) {
        fail(bed, bed->copying);
        bed->in_doubt = bed->p.sync_in_doubt;
        return;
    }
    if (bed->seen == bed->sent)
        return;
    m = &bed->messages[bed->seen++];
    if (bed->copying != NULL) {
        copy(bed, m, how);
        return;
    }
    if (bed->ignoring && m->kind != PENDING_SYNC)
        return;
    bed->ignoring = false;
    if (m->kind == PENDING_COPY_END)
        return;
    if ((how & FAILS) != 0)
        fail(bed, m);
    else
        reply(bed, m, how);
}

static void
client(struct bed *bed, uint8_t byte)
{
    struct message *m = &bed->messages[bed->sent];
    struct pending_entry e = {.tag = m};

    if (bed->sent == MESSAGES_MAX || pending_is_full(&bed->p))
        return;
    bed->sent++;
    m->kind = (uint8_t)((byte & 15) % (PENDING_COPY_END + 1));
    m->skip = (byte & SKIP_BIT) != 0;
    e.kind = m->kind;
    e.skip = m->skip;
    pending_push(&bed->p, &e, settled, bed);
}

static void
check_quiet(const struct bed *bed)
{
    uint32_t owed = bed->copying != NULL ? 1 : 0;

    if (bed->p.count != owed)
        BUG("the server owes %u answers, %u are waited for", owed, bed->p.count);
    if (bed->p.copy_in != (bed->copying != NULL))
        BUG("the server is%s in COPY", bed->copying != NULL ? "" : " not");
    if (bed->p.skip_till_sync != bed->ignoring)
        BUG("the server is%s ignoring messages", bed->ignoring ? "" : " not");
}

static void
check_settled(const struct bed *bed)
{
    for (uint32_t n = 0; n < bed->sent; n++) {
        if (bed->messages[n].settled != 1)
            BUG("message %u was settled %u times", n, bed->messages[n].settled);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct bed bed;
    struct fuzz_bytes b = {data, data + size};

    memset(&bed, 0, sizeof(bed));
    pending_init(&bed.p);
    while (b.at < b.end && !bed.in_doubt) {
        uint8_t byte = fuzz_byte(&b);
        if ((byte & SERVER_BIT) != 0)
            server(&bed, byte);
        else
            client(&bed, byte);
        if (bed.seen == bed.sent && !bed.in_doubt)
            check_quiet(&bed);
    }
    pending_fini(&bed.p, settled, &bed);
    check_settled(&bed);
    return 0;
}
