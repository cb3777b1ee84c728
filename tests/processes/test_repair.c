/* A store whose derived words were overwritten: the check finds it, a repair rebuilds them, and what is no cache stays as it
 * is and is reported. */
#include "processes/peer.h"

#include "tensor/tensor.h"

static zct_store *s;
static zct_tensor *w, *v;

/* Two tensors of pages, one of cells, and one that ended. */
static void make(void)
{
    zct_tensor *a;
    s = test_store("s");
    OK(test_create(s, "w", 9000, 1, NULL, &w));
    OK(test_create(s, "v", 9000, 2, NULL, &v));
    OK(test_create(s, "small", 100, 3, NULL, &a));
    zct_release(a);
    OK(test_create(s, "ended", 100, 4, NULL, &a));
    zct_release(a);
    OK(zct_unlink(s, "ended"));
    CHECK_STORE(s);
}

static int count(void *context, const char *finding)
{
    test_say("# %s", finding);
    ++*(int *)context;
    return 0;
}

static int findings(void)
{
    int n = 0, rc = zct_check(s, count, &n);
    CHECK_EQ(rc, n);
    return n;
}

static void is_as_it_was(void)
{
    zct_tensor *a;
    CHECK_STORE(s);
    CHECK_EQ(test_stats(s).names, 3);
    CHECK(test_is_pattern(zct_tensor_view(w)->data, 9000, 1));
    REQUIRE_OK(zct_attach(s, "v", ZCT_MODE_READ, 0, &a));
    CHECK(test_is_pattern(zct_tensor_view(a)->data, 9000, 2));
    zct_release(a);
    REQUIRE_OK(zct_attach(s, "small", ZCT_MODE_READ, 0, &a));
    CHECK(test_is_pattern(zct_tensor_view(a)->data, 100, 3));
    zct_release(a);
    CHECK_RC(zct_attach(s, "ended", ZCT_MODE_READ, 0, &a), -ZCT_ENOTFOUND);
}

static void used_none(void) { put_relaxed(&REGION(s, sh64, s->g.used)[0], 0); }
static void used_all(void) { put_relaxed(&REGION(s, sh64, s->g.used)[0], ~0ull); }
static void cells_none(void)
{
    uint64_t page = ext_page(get_relaxed(&desc_at(s, stat_of(s, "small").index)->ext));
    put_relaxed(&REGION(s, sh64, s->g.masks)[page], 0);
}
static void index_none(void)
{
    uint64_t root = get_relaxed(&s->words->root);
    for (uint32_t i = 0; i < 1u << root_log2(root); i++)
        put_relaxed(&index_at(s, root_which(root))[i], CELL_NONE);
}
static void counts(void) { put_relaxed(&s->words->indexed, 77); }
static void high(void) { put_relaxed(&s->words->high, 1); }
static void desc_high(void) { put_relaxed(&s->words->desc_high, 0); }
static void asked(void)
{
    struct desc *d = desc_at(s, stat_of(s, "v").index);
    put_relaxed(&d->st, get_relaxed(&d->st) | ST_ASKED);
}

static void caches(void)
{
    static const struct {
        const char *name;
        void (*damage)(void);
    } cases[] = {
        {"no memory is used", used_none}, {"all is used", used_all},       {"no cells are used", cells_none},
        {"an empty index", index_none},   {"a wrong count", counts},       {"too little is mapped", high},
        {"no descriptor", desc_high},     {"a question by nobody", asked},
    };
    make();
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t rebuilds = test_stats(s).rebuilds;
        test_case("%s", cases[i].name);
        cases[i].damage();
        CHECK(findings() > 0);
        OK(zct_store_repair(s));
        CHECK_EQ(test_stats(s).rebuilds, rebuilds + 1);
        is_as_it_was();
    }
    OK(zct_store_destroy("s", NULL));
}

/* Two tensors have the same memory: no rebuild can tell whose it is. */
static void overlap(void)
{
    zct_tensor *others[20] = {NULL};
    make();
    struct desc *d = desc_at(s, stat_of(s, "v").index);
    uint64_t ext = get_relaxed(&d->ext), shared = get_relaxed(&desc_at(s, stat_of(s, "w").index)->ext);
    put_relaxed(&d->ext, ext_large(ext_page(shared) + 1, ext_pages(shared)));
    CHECK(findings() > 0);
    OK(zct_store_repair(s));
    CHECK_EQ(findings(), 1);
    CHECK(get_relaxed(&d->ext) != ext);
    CHECK(test_is_pattern(zct_tensor_view(w)->data, 9000, 1));
    for (int i = 0; i < 20; i++) { /* nobody gets what the two have */
#if defined(ZCT_DEBUG) && ZCT_DEBUG
        CHECK_RC(test_create(s, NULL, 9000, 9, NULL, &others[i]), -ZCT_ECORRUPT); /* it looks at the whole store each time */
#else
        OK(test_create(s, NULL, 9000, 9, NULL, &others[i]));
#endif
        CHECK(test_is_pattern(zct_tensor_view(w)->data, 9000, 1));
    }
    for (int i = 0; i < 20; i++)
        zct_release(others[i]);
    OK(zct_store_destroy("s", NULL));
}

static void outside(void)
{
    make();
    struct desc *d = desc_at(s, stat_of(s, "v").index);
    uint64_t ext = get_relaxed(&d->ext), beyond = ext_large(s->g.pages - 1, 3);
    put_relaxed(&d->ext, beyond);
    OK(zct_store_repair(s));
    CHECK(findings() > 0);
    CHECK(get_relaxed(&d->ext) == beyond);
    put_relaxed(&d->ext, ext);
    OK(zct_store_repair(s));
    is_as_it_was();
    OK(zct_store_destroy("s", NULL));
}

static int observe(long unused)
{
    (void)unused;
    zct_store_options o = {.size = sizeof o, .flags = ZCT_STORE_OBSERVE};
    int rc = zct_store_open("s", &o, &s);
    return rc < 0 ? rc : zct_store_repair(s);
}

/* An observer cannot; what changes is told to observers too. */
static void observers(void)
{
    struct peer p = peer_new();
    make();
    CHECK(peer_do(&p, observe, 0) < 0);
    uint64_t before = zct_store_changes(s);
    zct_tensor *a;
    OK(zct_attach(s, "w", ZCT_MODE_READ, 0, &a));
    zct_release(a);
    CHECK(zct_store_changes(s) == before);
    OK(zct_unlink(s, "small"));
    CHECK(zct_store_changes(s) != before);
    peer_end(&p);
    OK(zct_store_destroy("s", NULL));
}

TESTS({"what is derived is rebuilt", caches}, {"an overlap is reported, not repaired", overlap},
      {"an extent outside is reported, not repaired", outside}, {"observers", observers})
