/* publish: a nameless tensor gets a name, at any size, without a copy; and blocks of the allocator. */
#include "processes/peer.h"

#include <stdio.h>

static zct_store *s;
static zct_tensor *a;

static int open_store(long unused)
{
    (void)unused;
    s = test_store("s");
    return 0;
}

static int attach(long mode) { return zct_attach(s, "w", (int)mode, 0, &a); }
static int make_w(long seed) { return test_create(s, "w", 100, (uint64_t)seed, NULL, &a); }

static int release(long unused)
{
    (void)unused;
    zct_release(a);
    a = NULL;
    return 0;
}

static void end(void)
{
    OK(zct_store_gc(s, NULL, NULL));
    CHECK_STORE(s);
    CHECK_EQ(test_stats(s).names, 0);
    CHECK_EQ(test_stats(s).used, 0);
    zct_store_close(s);
}

static void no_copy(void)
{
    open_store(0);
    static const int64_t sizes[] = {0, 1, 64, 4000, 5000, 1 << 20, 9 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        OK(test_create(s, NULL, sizes[i], i, NULL, &a));
        void *data = zct_tensor_view(a)->data;
        uint64_t serial = zct_tensor_view(a)->serial;
        CHECK_EQ(zct_tensor_is_linked(a), 0);
        OK(zct_publish(a, "w", NULL));
        CHECK_EQ(zct_tensor_is_linked(a), 1);
        CHECK_EQ(zct_tensor_is_maker(a), 1);
        CHECK_EQ(zct_tensor_view(a)->generation, 1);
        CHECK_EQ(zct_tensor_view(a)->serial, serial);
        zct_tensor *b;
        OK(zct_attach(s, "w", ZCT_MODE_WRITE, 0, &b));
        CHECK(zct_tensor_view(b)->data == data);
        CHECK(test_is_pattern(data, (size_t)sizes[i], i));
        zct_release(b);
        CHECK_RC(zct_publish(a, "v", NULL), -ZCT_ENOTWHOLE); /* it has a name */
        release(0);
        CHECK(there(s, "w")); /* persistent by now */
        OK(zct_unlink(s, "w"));
    }
    end();
}

/* Names longer than 64 bytes, more than six dimensions, strides and blobs lie elsewhere: they come along. */
static void long_names_and_shapes(void)
{
    open_store(0);
    for (int ndim = 0; ndim <= ZCT_MAX_DIMS; ndim += ndim < 9 ? 1 : 11)
        for (int length = 1; length <= ZCT_MAX_NAME; length += length < 60 ? 59 : length < 70 ? 1 : 37) {
            char name[ZCT_MAX_NAME + 1], got[ZCT_MAX_NAME + 1], blob[300];
            int64_t shape[ZCT_MAX_DIMS], strides[ZCT_MAX_DIMS];
            test_case("%d dimensions, name of %d bytes", ndim, length);
            memset(name, 'a' + ndim % 26, (size_t)length);
            name[length] = 0;
            memset(blob, length & 127, sizeof blob);
            for (int i = 0; i < ndim; i++)
                shape[i] = i < 2 ? 3 : 1, strides[i] = i == 0 ? 4 : i == 1 ? 12 : 4;
            zct_spec spec = {.size = sizeof spec, .ndim = ndim, .shape = shape, .strides = strides,
                             .order = ndim >= 2 ? ZCT_ORDER_STRIDED : ZCT_ORDER_C, .metadata = blob,
                             .metadata_len = (size_t)(length & 1 ? length : 0), .descriptor = "{}",
                             .descriptor_len = ndim & 1 ? 2 : 0,
                             .dtype = {.code = ZCT_FLOAT, .bits = 32, .lanes = 1, .itemsize = 4, .name = "float32"}};
            zct_create_options zero = {.size = sizeof zero, .zero = 1};
            OK(zct_create(s, NULL, &spec, NULL, NULL, &zero, &a));
            OK(zct_publish(a, name, NULL));
            zct_tensor *b = NULL;
            OK(zct_attach(s, name, ZCT_MODE_READ, 0, &b));
            if (!b)
                break;
            const zct_view *v = zct_tensor_view(b);
            CHECK_EQ(v->ndim, ndim);
            CHECK(ndim == 0 || !memcmp(v->shape, shape, (size_t)ndim * 8));
            CHECK(ndim < 2 || !memcmp(v->strides, strides, (size_t)ndim * 8));
            CHECK_EQ(zct_tensor_metadata(b, got, sizeof got), spec.metadata_len);
            CHECK(!memcmp(got, blob, spec.metadata_len < sizeof got ? spec.metadata_len : sizeof got));
            CHECK_EQ(zct_tensor_descriptor(b, got, sizeof got), spec.descriptor_len);
            OK(zct_tensor_name(b, got, sizeof got));
            CHECK_STR(got, name);
            OK(zct_expect(b, &spec.dtype, ndim, shape));
            CHECK_STR(stat_of(s, name).name, name);
            zct_release(b);
            release(0);
            OK(zct_unlink(s, name));
        }
    test_case("%s", "");
    end();
}

static void name_is_taken(void)
{
    struct peer p = peer_new();
    open_store(0);
    CHECK_EQ(peer_do(&p, open_store, 0), 0);
    CHECK_EQ(peer_do(&p, make_w, 1), 0);
    OK(test_create(s, NULL, 100, 2, NULL, &a));
    CHECK_RC(zct_publish(a, "w", NULL), -ZCT_EEXISTS);
    SAYS("'w'");
    CHECK_EQ(zct_tensor_is_linked(a), 0);
    zct_stat st = {.size = sizeof st};
    OK(zct_stat_tensor(a, &st)); /* as nameless as before */
    CHECK_EQ(st.state, ZCT_STATE_NAMELESS);
    CHECK(test_is_pattern(zct_tensor_view(a)->data, 100, 2));
    zct_create_options o = how(ZCT_EXISTS_REPLACE, ZCT_PINNED);
    OK(zct_publish(a, "w", &o));
    CHECK_EQ(zct_tensor_view(a)->generation, 2);
    CHECK_EQ(stat_of(s, "w").lifetime, ZCT_PINNED);
    CHECK_EQ(peer_do(&p, release, 0), 0);
    zct_tensor *b;
    OK(test_create(s, NULL, 100, 3, NULL, &b));
    CHECK_RC(zct_publish(b, "w", NULL), -ZCT_EEXISTS);
    SAYS("pinned");
    OK(zct_unlink(s, "w"));
    OK(zct_publish(b, "w", NULL));
    zct_release(b);
    /* a leftover */
    OK(test_create(s, NULL, 100, 4, NULL, &b));
    CHECK_RC(zct_publish(b, "w", NULL), ZCT_REPLACED);
    zct_release(b);
    /* it was unlinked: its bytes are nobody's name any more */
    OK(zct_attach(s, "w", 0, 0, &b));
    OK(zct_unlink(s, "w"));
    CHECK_RC(zct_publish(b, "again", NULL), -ZCT_ENOTWHOLE);
    zct_release(b);
    CHECK_RC(zct_publish(a, NULL, NULL), -ZCT_ENOTWHOLE);
    release(0);
    OK(test_create(s, NULL, 100, 4, NULL, &b));
    CHECK_RC(zct_publish(b, NULL, NULL), -ZCT_EINVAL);
    CHECK_RC(zct_publish(b, "", NULL), -ZCT_EINVAL);
    zct_release(b);
    peer_end(&p);
    end();
}

static void sealed_at_publish(void)
{
    open_store(0);
    OK(test_create(s, NULL, 100, 1, NULL, &a));
    zct_create_options o = how(ZCT_EXISTS_ERROR, ZCT_PERSISTENT);
    o.sealed = 1;
    OK(zct_publish(a, "w", &o));
    CHECK_EQ(zct_tensor_is_sealed(a), 1);
    zct_tensor *b;
    CHECK_RC(zct_attach(s, "w", ZCT_MODE_WRITE, 0, &b), -ZCT_EACCES);
    release(0);
    OK(zct_unlink(s, "w"));
    end();
}

/* ---- the allocator's blocks ---- */

static zct_spec floats(int64_t *shape, int64_t n)
{
    zct_spec spec = test_bytes(shape, n);
    spec.dtype = (zct_dtype){.code = ZCT_FLOAT, .bits = 32, .lanes = 1, .itemsize = 4, .name = "float32"};
    return spec;
}

static void a_block(void)
{
    struct peer p = peer_new();
    open_store(0);
    CHECK_EQ(peer_do(&p, open_store, 0), 0);
    float *block = zct_memory_alloc(s, 4000, 1);
    REQUIRE(block);
    zct_store *owner = NULL;
    CHECK_EQ(zct_memory_owns(block, &owner), 4000);
    CHECK(owner == s);
    CHECK_EQ(zct_memory_owns(block + 1, NULL), 0);
    int64_t shape;
    zct_spec spec = floats(&shape, 999);
    CHECK_RC(zct_memory_publish(s, block, &spec, "w", NULL, &a), -ZCT_ENOTWHOLE); /* not all of it */
    spec = floats(&shape, 1000);
    CHECK_RC(zct_memory_publish(s, block + 1, &spec, "w", NULL, &a), -ZCT_ENOTWHOLE);
    CHECK_RC(zct_memory_publish(s, &shape, &spec, "w", NULL, &a), -ZCT_ENOTWHOLE);
    block[7] = 7;
    OK(zct_memory_publish(s, block, &spec, "w", NULL, &a));
    CHECK(zct_tensor_view(a)->data == block);
    CHECK_RC(zct_memory_publish(s, block, &spec, "v", NULL, &a), -ZCT_ENOTWHOLE); /* once */
    CHECK_EQ(peer_do(&p, attach, 0), 0);
    zct_memory_free(s, block); /* as usual; the tensor lives */
    CHECK_EQ(zct_memory_owns(block, NULL), 0);
    CHECK_EQ((int)((float *)zct_tensor_view(a)->data)[7], 7);
    release(0);
    OK(attach(0));
    CHECK_EQ((int)((float *)zct_tensor_view(a)->data)[7], 7);
    release(0);
    OK(zct_unlink(s, "w"));
    CHECK_EQ(peer_do(&p, release, 0), 0);
    peer_end(&p);
    end();
}

static void a_block_under_a_taken_name(void)
{
    struct peer p = peer_new();
    open_store(0);
    CHECK_EQ(peer_do(&p, open_store, 0), 0);
    CHECK_EQ(peer_do(&p, make_w, 1), 0);
    uint8_t *block = zct_memory_alloc(s, 100, 1);
    int64_t shape;
    zct_spec spec = test_bytes(&shape, 100);
    CHECK_RC(zct_memory_publish(s, block, &spec, "w", NULL, &a), -ZCT_EEXISTS);
    zct_create_options o = how(ZCT_EXISTS_ATTACH, ZCT_PERSISTENT);
    CHECK_RC(zct_memory_publish(s, block, &spec, "w", &o, &a), ZCT_ATTACHED);
    CHECK(zct_tensor_view(a)->data != block);
    release(0);
    spec = test_bytes(&shape, 100);
    spec.dtype.code = ZCT_INT;
    CHECK_RC(zct_memory_publish(s, block, &spec, "w", &o, &a), -ZCT_EMISMATCH);
    o.exists = ZCT_EXISTS_REPLACE;
    OK(zct_memory_publish(s, block, &spec, "w", &o, &a));
    zct_memory_free(s, block);
    release(0);
    OK(zct_unlink(s, "w"));
    peer_end(&p);
    end();
}

/* A block whose process dies goes with it; one that was published does not. */
static int blocks_of_a_victim(long unused)
{
    (void)unused;
    int64_t shape;
    zct_spec spec = test_bytes(&shape, 100);
    for (int i = 0; i < 10; i++)
        if (!zct_memory_alloc(s, 3000, 0))
            return -1;
    void *idle = zct_memory_alloc(s, 700, 0), *named = zct_memory_alloc(s, 100, 1);
    zct_memory_free(s, idle);
    return zct_memory_publish(s, named, &spec, "w", NULL, &a);
}

static void blocks_of_the_dead(void)
{
    struct peer p = peer_new();
    open_store(0);
    CHECK_EQ(peer_do(&p, open_store, 0), 0);
    CHECK_EQ(peer_do(&p, blocks_of_a_victim, 0), 0);
    CHECK_EQ(test_stats(s).names, 12);
    peer_kill(&p);
    OK(zct_store_gc(s, NULL, NULL));
    CHECK_EQ(test_stats(s).names, 1);
    OK(attach(0));
    release(0);
    OK(zct_unlink(s, "w"));
    end();
}

/* In a forked child the parent's blocks are read and freed without harm to it. */
static void blocks_across_a_fork(void)
{
    open_store(0);
    uint8_t *block = zct_memory_alloc(s, 5000, 0), *idle = zct_memory_alloc(s, 6000, 0);
    memset(block, 5, 5000);
    zct_memory_free(s, idle);
    pid_t pid = test_fork();
    if (pid == 0) {
        CHECK_EQ(block[4999], 5);
        uint8_t *mine = zct_memory_alloc(s, 6000, 0);
        CHECK(mine != idle && mine != NULL); /* that one is the parent's */
        zct_memory_free(s, mine);
        zct_memory_free(s, block);
        zct_store_close(s);
        exit(0);
    }
    CHECK(zct_memory_alloc(s, 6000, 0) == idle);
    test_join(pid);
    CHECK_EQ(block[0], 5);
    zct_memory_free(s, block);
    zct_memory_free(s, idle);
    end();
}

TESTS({"no copy", no_copy}, {"long names and shapes", long_names_and_shapes}, {"the name is taken", name_is_taken},
      {"sealed at publish", sealed_at_publish}, {"a block", a_block},
      {"a block under a taken name", a_block_under_a_taken_name}, {"blocks of the dead", blocks_of_the_dead},
      {"blocks across a fork", blocks_across_a_fork})
