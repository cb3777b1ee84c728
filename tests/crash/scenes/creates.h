/* scenes of the crash sweep: creating and publishing, in all ways, and memory without a name. Included by test_sweep.c. */

/* ---- create ---- */

static void act_create(zct_store *s) { OK(test_create(s, "x", 100, 2, NULL, &held)); }
PLAY(create, "create", .act = act_create, .names = {{"x", 100, 0, 2}, {"keep", 100, 1, 1}})

static void act_create_big(zct_store *s) { OK(test_create(s, "x", 9000, 2, WITH(.sealed = 1), &held)); }
PLAY(create_big, "create pages", .act = act_create_big, .names = {{"x", 9000, 0, 2}, {"keep", 100, 1, 1}})

PLAY(create_old_kernel, "create, no populate", .act = act_create_big, .names = {{"x", 9000, 0, 2}},
     .flags = SWEEP_NO_POPULATE)

/* Pieces, and an attempt at huge pages, whether the system has them or not. */
static void act_create_huge(zct_store *s) { OK(test_create(s, "x", 9 << 20, 2, NULL, &held)); }
PLAY(create_huge, "create huge pages", .act = act_create_huge, .names = {{"x", 9 << 20, 0, 2}, {"keep", 100, 1, 1}},
     .flags = SWEEP_FIRST_ONLY | SWEEP_ALONE_ONLY)

static void act_create_nameless(zct_store *s)
{
    OK(test_create(s, NULL, 100, 2, NULL, &held));
    zct_release(held);
    OK(test_create(s, NULL, 0, 2, NULL, &held));
}
PLAY(create_nameless, "create nameless", .act = act_create_nameless, .names = {{"keep", 100, 1, 1}})

static void act_leftover(zct_store *s) { CHECK_RC(test_create(s, "x", 100, 2, NULL, &held), ZCT_REPLACED); }
PLAY(leftover, "create over a leftover", .act = act_leftover, .names = {{"x", 100, 1, 2}, {"keep", 100, 1, 1}},
     .flags = SWEEP_ALONE_ONLY)

PLAY(leftover_dead, "create over the dead's", .act = act_leftover, .names = {{"x", 100, 1, 2}},
     .flags = SWEEP_DIED | SWEEP_ALONE_ONLY)

static void act_taken(zct_store *s) { CHECK_RC(test_create(s, "x", 100, 2, NULL, &held), -ZCT_EEXISTS); }
PLAY(taken, "create, the name is taken", .act = act_taken, .names = {{"x", 100, 1, 1}}, .flags = SWEEP_BESIDE_ONLY)

static void act_replace(zct_store *s) { OK(test_create(s, "x", 100, 2, WITH(.exists = ZCT_EXISTS_REPLACE), &held)); }
PLAY(replace, "replace", .act = act_replace, .names = {{"x", 100, 1, 2}, {"keep", 100, 1, 1}})

static void act_join_existing(zct_store *s)
{
    CHECK_RC(test_create(s, "x", 100, 2, WITH(.exists = ZCT_EXISTS_ATTACH), &held), ZCT_ATTACHED);
    OK(test_create(s, "y", 100, 2, WITH(.exists = ZCT_EXISTS_ATTACH), &other));
}
PLAY(join_existing, "create or attach", .act = act_join_existing, .names = {{"x", 100, 1, 1}, {"y", 100, 0, 2}})

static int create_aux(zct_store *s, const char *name, uint64_t seed, int exists)
{
    int64_t shape[7] = {1, 2, 3, 1, 2, 1, 5}, strides[7] = {60, 1, 2, 60, 30, 60, 6};
    uint8_t data[60];
    test_pattern(data, sizeof data, seed);
    zct_spec spec = {.size = sizeof spec,
                     .ndim = 7,
                     .order = ZCT_ORDER_STRIDED,
                     .shape = shape,
                     .strides = strides,
                     .dtype = {.code = ZCT_STRUCT, .itemsize = 1, .name = "struct"},
                     .descriptor = "{\"fields\": []}",
                     .descriptor_len = 14,
                     .metadata = "metadata",
                     .metadata_len = 8};
    return zct_create(s, name, &spec, data, strides, WITH(.exists = exists), &held);
}
static void act_aux(zct_store *s)
{
    OK(create_aux(s, LONG_NAME, 2, ZCT_EXISTS_ERROR));
    OK(create_aux(s, LONG_NAME "/2", 2, ZCT_EXISTS_REPLACE));
}
PLAY(aux, "create with an aux block", .act = act_aux, .names = {{LONG_NAME, 60, 0, 2}, {LONG_NAME "/2", 60, 1, 2}})

static void act_lifetimes(zct_store *s)
{
    OK(test_create(s, "last", 100, 2, WITH(.lifetime = ZCT_LAST), &held));
    OK(zct_attach(s, "last", ZCT_MODE_WRITE, 0, &other));
    OK(test_create(s, "pinned", 100, 2, WITH(.lifetime = ZCT_PINNED), &held));
    OK(test_create(s, "owner", 100, 2, WITH(.lifetime = ZCT_OWNER), &held));
    zct_release(other);
}
PLAY(lifetimes, "lifetimes", .act = act_lifetimes, .names = {{"pinned", 100, 0, 2}})

/* ---- publish ---- */

static void ready_nameless(zct_store *s) { OK(test_create(s, NULL, 100, 2, NULL, &held)); }
static void act_publish(zct_store *s)
{
    (void)s;
    OK(zct_publish(held, "x", NULL));
}
PLAY(publish, "publish", .ready = ready_nameless, .act = act_publish, .names = {{"x", 100, 0, 2}, {"keep", 100, 1, 1}})

static void act_publish_replace(zct_store *s)
{
    (void)s;
    OK(zct_publish(held, "x", WITH(.exists = ZCT_EXISTS_REPLACE, .sealed = 1)));
}
PLAY(publish_replace, "publish, replace", .ready = ready_nameless, .act = act_publish_replace,
     .names = {{"x", 100, 1, 2}})

static void act_publish_taken(zct_store *s)
{
    (void)s;
    CHECK_RC(zct_publish(held, "x", WITH(.sealed = 1)), -ZCT_EEXISTS);
}
PLAY(publish_taken, "publish, the name is taken", .ready = ready_nameless, .act = act_publish_taken,
     .names = {{"x", 100, 1, 1}}, .flags = SWEEP_BESIDE_ONLY)

static void act_publish_long(zct_store *s)
{
    (void)s;
    OK(zct_publish(held, LONG_NAME, NULL));
}
PLAY(publish_long, "publish, a long name", .ready = ready_nameless, .act = act_publish_long,
     .names = {{LONG_NAME, 100, 0, 2}})

/* ---- memory ---- */

static void act_memory(zct_store *s)
{
    block = zct_memory_alloc(s, 5000, 1);
    block = zct_memory_realloc(s, block, 20000);
    zct_memory_free(s, block);
    block = zct_memory_alloc(s, 100, 0);
    test_pattern(block, 100, 2);
    int64_t shape;
    zct_spec spec = test_bytes(&shape, 100);
    OK(zct_memory_publish(s, block, &spec, "x", NULL, &held));
    zct_memory_free(s, block);
    zct_release(held);
    OK(zct_store_gc(s, NULL, NULL));
}
PLAY(memory, "memory", .act = act_memory, .names = {{"x", 100, 0, 2}})
