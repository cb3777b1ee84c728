/* process.h - facts about processes and threads. Pids are for people; proof of death is a byte lock. */
#ifndef ZCT_PLATFORM_PROCESS_H
#define ZCT_PLATFORM_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

uint32_t process_id(void);
uint32_t process_uid(void);         /* effective */
uint64_t process_view(void);        /* differs when the process changed its root or its mount namespace */
uint64_t process_pid_ns(void);      /* inode of the PID namespace, 0 if unknown */
uint32_t thread_id(void);
void process_forked(void);          /* call in a forked child, before thread_id */
bool thread_gone(uint32_t tid);     /* of this process */
/* Head of the command line with spaces between, NUL-terminated; "" if unknown. */
void process_command(uint32_t pid, char *to, size_t size);
/* True when the process of this number, in this PID namespace, is exiting, a zombie or not there. */
bool process_ending(uint32_t pid);
/* Handlers around fork(); they stay for the life of the process. */
int process_on_fork(void (*prepare)(void), void (*parent)(void), void (*child)(void));
int process_at_exit(void (*fn)(void));
const char *process_env(const char *name); /* NULL if unset, empty, or the program is privileged */

#endif
