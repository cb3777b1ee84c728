/* sink.h - a file that is written beside its target and takes the target's name when it is whole. Until then nobody
 * sees it: it has no name at all where the file system can do that, else a hidden one that is removed on failure. */
#ifndef ZCT_CLI_SINK_H
#define ZCT_CLI_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sink;

/* NULL: the sentence has been said. A target that is there must be a regular file, or a link to one; it stays what it
 * is until sink_commit. */
struct sink *sink_open(const char *path);
/* Append. What cannot be written is said once, and sink_commit fails then. False from then on. */
bool sink_write(struct sink *sink, const void *bytes, uint64_t len);
uint64_t sink_at(const struct sink *sink); /* bytes so far */
/* Overwrite what was appended before. */
bool sink_patch(struct sink *sink, uint64_t at, const void *bytes, size_t len);
/* Give it its name, in place of what had it. False: the sentence has been said. Either way the sink is gone. */
bool sink_commit(struct sink *sink);
void sink_abandon(struct sink *sink); /* NULL is allowed */

#endif
