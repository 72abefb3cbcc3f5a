/*
 * librdzv: rendezvous for distributed training over etcd.
 *
 * Generated from src/ffi by cbindgen; edit it there.
 *
 * What it gives
 *   A rendezvous backend (one state per run id, replaced under a fencing token), a store (the key/value store
 *   through which ranks exchange addresses, with the calls of torch.distributed's stores), and an etcd server to
 *   start locally. On etcd v2 the format is that of PyTorch's etcd-v2 backend and EtcdStore, so that peers of both
 *   kinds meet.
 *
 * Conventions
 *   Arguments come in the order: handle, inputs, outputs. Every call that can fail returns an rdzv_status, 0 being
 *   success, and writes its outputs only then: otherwise they are untouched. NULL where it is not allowed is
 *   RDZV_STATUS_NULL_ARGUMENT, never a crash; but a pointer that is not NULL must be valid. After a failure
 *   rdzv_last_error_message() and rdzv_last_error_cause() tell what went wrong on this thread. Absence
 *   (RDZV_STATUS_NOT_FOUND) and a lost compare-and-set (has_set false) are outcomes, not failures, and leave them
 *   alone. Texts (options, run ids, paths) are NUL-terminated UTF-8. Keys are NUL-terminated bytes of any
 *   encoding. Values are a pointer and a length, where the pointer may be NULL if the length is 0; lengths above
 *   2147483647 and lists of more than 16777216 entries are refused.
 *
 * Units
 *   The unit is in the name: timeout_ms is in milliseconds. A timeout of 0 means now or never: look once, do not
 *   wait. RDZV_STORE_TIMEOUT means the store's own timeout. A blocking call ends at its deadline, with
 *   RDZV_STATUS_TIMEOUT.
 *
 * Ownership
 *   What comes out through a pointer to a handle (rdzv_store **) belongs to the caller, who gives it back once, to
 *   the free function of its type, which takes NULL, too. rdzv_bytes and rdzv_bytes_list outputs go back to
 *   rdzv_bytes_free() and rdzv_bytes_list_free(), which zero them, so that doing it twice is harmless. Writing an
 *   output over one that was not freed leaks it. Inputs are borrowed for the call: nothing is kept, nothing is
 *   consumed. A const char * that a function returns belongs to the library.
 *
 * Threads
 *   A function that takes a handle as const may be called from many threads at once on the same handle, also while
 *   others are blocked in it. Functions that take it without const (the setters of parameters and options, and
 *   free) must not overlap with any other call on that handle. To free a handle that others are blocked on: cancel
 *   it, join them, free it. Only rdzv_store_cancel(), rdzv_backend_cancel() and rdzv_handler_cancel() may be called
 *   from a signal handler. The library installs no signal handler and no exit handler, and reads environment
 *   variables only to find the etcd binary. The last error belongs to the thread.
 *
 * Fork
 *   Handles may be used, and freed, in a child after fork(): it opens its own connections and leaves the parent's
 *   alone. A server stays the parent's. A child starts with logging off. As everywhere in POSIX, a fork() while
 *   other threads run leaves the child with what malloc and the C library can do then.
 *
 * Stability
 *   Programs built against one version run with every later one of the same RDZV_ABI_VERSION. Status codes keep
 *   their numbers, and new ones may come: treat an unknown one as a failure.
 */


#ifndef RDZV_H
#define RDZV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * The major version of the library that this header belongs to.
 */
#define RDZV_VERSION_MAJOR 0

/**
 * The minor version.
 */
#define RDZV_VERSION_MINOR 1

/**
 * The patch version.
 */
#define RDZV_VERSION_PATCH 0

/**
 * The ABI that this header describes: the number in the soname, raised only when a change would break programs.
 */
#define RDZV_ABI_VERSION 0

/**
 * In place of a timeout: the store's own, as set by `rdzv_store_set_timeout()`.
 */
#define RDZV_STORE_TIMEOUT UINT64_MAX

/**
 * Event: a node became a participant of the round that is being agreed on.
 */
#define RDZV_EVENT_JOINED 1

/**
 * Event: a node waits for the next round.
 */
#define RDZV_EVENT_WAITING 2

/**
 * Event: a node is spare, because the round is full.
 */
#define RDZV_EVENT_SPARE 3

/**
 * Event: a node left, or another node found it dead first.
 */
#define RDZV_EVENT_LEFT 4

/**
 * Event: this node found that another one gave no sign of life for too long.
 */
#define RDZV_EVENT_DIED 5

/**
 * Event: a round is complete.
 */
#define RDZV_EVENT_COMPLETE 6

/**
 * Event: a new round is being agreed on.
 */
#define RDZV_EVENT_ROUND 7

/**
 * Event: the run was closed.
 */
#define RDZV_EVENT_CLOSED 8

/**
 * Event: this node is no longer in its round, because the others took it for dead.
 */
#define RDZV_EVENT_EVICTED 9

/**
 * Event: heartbeats in a row could not be written.
 */
#define RDZV_EVENT_HEARTBEAT_FAILED 10

/**
 * Event: a heartbeat was written again.
 */
#define RDZV_EVENT_HEARTBEAT_RECOVERED 11

/**
 * Event: a node's clock is so far off that Python nodes take it for dead.
 */
#define RDZV_EVENT_SKEW 12

/**
 * Event: the store holds keys of an earlier run of the same id.
 */
#define RDZV_EVENT_STALE_KEYS 13

/**
 * Log level: nothing.
 */
#define RDZV_LOG_OFF 0

/**
 * Log level: failures that the caller may not see otherwise.
 */
#define RDZV_LOG_ERROR 1

/**
 * Log level: also what went wrong and was made good, such as a retry.
 */
#define RDZV_LOG_WARN 2

/**
 * Log level: also what is rare and of interest, such as a connection.
 */
#define RDZV_LOG_INFO 3

/**
 * Log level: also one line for each operation.
 */
#define RDZV_LOG_DEBUG 4

/**
 * Log level: also one line for each request on the wire.
 */
#define RDZV_LOG_TRACE 5

/**
 * What a call came to, by what the caller does next. 0 is success; numbers are never reused for something else.
 *
 * Later versions may add codes: treat one that you do not know as a failure.
 */
enum rdzv_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * The call did what it says, and its outputs are written.
   */
  RDZV_STATUS_OK = 0,
  /**
   * A pointer that must not be NULL is NULL. Nothing was done.
   */
  RDZV_STATUS_NULL_ARGUMENT = 1,
  /**
   * An argument or option is outside what is allowed. Nothing was sent.
   */
  RDZV_STATUS_INVALID_ARGUMENT = 2,
  /**
   * What was asked for does not exist. An expected outcome: it leaves the thread's last error as it was.
   */
  RDZV_STATUS_NOT_FOUND = 3,
  /**
   * The deadline passed first.
   */
  RDZV_STATUS_TIMEOUT = 4,
  /**
   * No endpoint of etcd could be reached, or none answered.
   */
  RDZV_STATUS_CONNECTION = 5,
  /**
   * The stored rendezvous state cannot be decoded.
   */
  RDZV_STATUS_STATE = 6,
  /**
   * etcd rejected the credentials, or they lack the permission.
   */
  RDZV_STATUS_AUTH = 7,
  /**
   * A write was sent, and whether etcd applied it cannot be known. Read before you write again.
   */
  RDZV_STATUS_UNKNOWN_OUTCOME = 8,
  /**
   * The handle was cancelled. A write that was under way may have been applied.
   */
  RDZV_STATUS_CANCELLED = 9,
  /**
   * etcd answered with an error that fits none of the others.
   */
  RDZV_STATUS_SERVER = 10,
  /**
   * This etcd, or this build of the library, cannot do it.
   */
  RDZV_STATUS_UNSUPPORTED = 11,
  /**
   * A bug in the library, stopped at its boundary. The handle may be freed, but not relied on.
   */
  RDZV_STATUS_PANIC = 12,
  /**
   * The rendezvous is closed: there will be no further round.
   */
  RDZV_STATUS_CLOSED = 13,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum rdzv_status rdzv_status;
#else
typedef int32_t rdzv_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * A rendezvous backend: the state of one run id in one etcd. One handle serves many threads at once.
 */
typedef struct rdzv_backend rdzv_backend;

/**
 * A rendezvous handler: one node of a run. One handle serves many threads at once, but only one of them may be in
 * `rdzv_next_rendezvous()` or `rdzv_handler_shutdown()`; a second one gets `RDZV_STATUS_INVALID_ARGUMENT`.
 *
 * From the end of a successful `rdzv_next_rendezvous()` until the next one, a shutdown or the free, one background
 * thread writes a heartbeat every `keep_alive_interval`. It ends within 100 ms of being told to. In a forked child
 * the handle is another node of the run, without that thread until it joins.
 */
typedef struct rdzv_handler rdzv_handler;

/**
 * The parameters of a rendezvous. Calls that change one handle must not overlap with any other call on it.
 *
 * What is created from parameters copies them: they can be changed or freed at once.
 */
typedef struct rdzv_params rdzv_params;

/**
 * An etcd that runs as a child of this process, and dies with it. One handle serves many threads at once.
 */
typedef struct rdzv_server rdzv_server;

/**
 * How to start a server. Calls that change one handle must not overlap with any other call on it.
 */
typedef struct rdzv_server_options rdzv_server_options;

/**
 * A key/value store in etcd, as torch.distributed knows it. One handle serves many threads at once, and a thread
 * that waits blocks no other.
 *
 * Keys are NUL-terminated and may hold any other byte; they need not be text. Values hold any bytes. Every call
 * may also return `RDZV_STATUS_CONNECTION`, `RDZV_STATUS_TIMEOUT`, `RDZV_STATUS_CANCELLED`, `RDZV_STATUS_AUTH`,
 * `RDZV_STATUS_SERVER`, and `RDZV_STATUS_INVALID_ARGUMENT` for a key or value that etcd could not hold.
 */
typedef struct rdzv_store rdzv_store;

/**
 * Bytes: as an output allocated by the library and owned by the caller, as an input borrowed for the call.
 *
 * An output is freed with `rdzv_bytes_free()`, once, unchanged. Its `data` is never NULL, not even when `len` is 0,
 * and one more byte, a NUL, follows the `len` bytes, so that text can be used as a C string. An input needs no such
 * byte, and its `data` may be NULL where `len` is 0. The struct never grows.
 */
typedef struct rdzv_bytes {
  /**
   * The first byte.
   */
  uint8_t *data;
  /**
   * The number of bytes, without the NUL that follows them.
   */
  size_t len;
} rdzv_bytes;

/**
 * A list of byte strings, allocated by the library and owned by the caller.
 *
 * Freed with `rdzv_bytes_list_free()`, which frees the items too. `items` is NULL where `count` is 0. The struct
 * never grows.
 */
typedef struct rdzv_bytes_list {
  /**
   * The first item.
   */
  struct rdzv_bytes *items;
  /**
   * The number of items.
   */
  size_t count;
} rdzv_bytes_list;

/**
 * A node's place in a round.
 */
typedef struct rdzv_rendezvous_info {
  /**
   * The rank of this node, from 0 to `world_size` - 1.
   */
  uint64_t rank;
  /**
   * The number of nodes in the round.
   */
  uint64_t world_size;
  /**
   * The number of the round, from 0.
   */
  uint64_t round;
} rdzv_rendezvous_info;

/**
 * Receives one event: its kind (`RDZV_EVENT_…`; later versions may add kinds), the event as a JSON object (good for
 * the call) such as `{"event":"died","node":{"address":"n1","local_id":0,"pid":7}}`, and the `user_data` that the
 * callback was set with.
 *
 * It runs on the thread that notices: the one in `rdzv_next_rendezvous()`, or the heartbeats' own. It must return,
 * not throw or jump out, and not call `rdzv_free_handler()`, `rdzv_next_rendezvous()` or `rdzv_handler_shutdown()`.
 */
typedef void (*rdzv_event_callback)(int32_t kind, const char *json, void *user_data);

/**
 * Receives one log line: its level, its text (UTF-8, one line without a line break, good for the call), and the
 * `user_data` that the callback was set with.
 *
 * It runs on whichever thread the event happened on, so on several at once, inside the library's call. It must
 * return, not throw or jump out, and not wait for a thread that is in `rdzv_set_log_callback()`. It may call the
 * library; what it causes there is not logged.
 */
typedef void (*rdzv_log_callback)(int32_t level, const char *message, void *user_data);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The version of the library that is running, such as "0.1.0". Static, never NULL.
 */
const char *rdzv_version(void);

/**
 * The ABI of the library that is running; equal to `RDZV_ABI_VERSION` of every header that fits it.
 */
uint32_t rdzv_abi_version(void);

/**
 * The name of a status code without its prefix, such as "TIMEOUT"; "UNRECOGNIZED" for any other number.
 *
 * Never NULL; the text is static.
 */
const char *rdzv_status_name(int32_t status);

/**
 * The status of the calling thread's last failed call; `RDZV_STATUS_OK` where none has failed yet.
 *
 * Calls that succeed, calls that return `RDZV_STATUS_NOT_FOUND`, getters and frees leave it as it is.
 */
rdzv_status rdzv_last_error_status(void);

/**
 * What went wrong in the calling thread's last failed call, in one sentence; "" where none has failed yet.
 *
 * Never NULL. The address is the same for the thread's life; the text changes with the thread's next failing call.
 * At most 1023 bytes of UTF-8: what is longer is cut.
 */
const char *rdzv_last_error_message(void);

/**
 * What lies behind that failure: operation, key, endpoint, elapsed time, and what the socket or etcd said. "" where
 * the message stands alone.
 *
 * As long-lived as `rdzv_last_error_message()`. At most 2047 bytes of UTF-8.
 */
const char *rdzv_last_error_cause(void);

/**
 * Frees the bytes that the library put into `bytes`, and sets it to `{NULL, 0}`, so that freeing it again does
 * nothing.
 *
 * # Safety
 * `bytes` must be NULL, or point to an `rdzv_bytes` that is all zero or as the library filled it.
 */
void rdzv_bytes_free(struct rdzv_bytes *bytes);

/**
 * Frees the items of `list` and what they hold, and sets it to `{NULL, 0}`, so that freeing it again does nothing.
 *
 * # Safety
 * `list` must be NULL, or point to an `rdzv_bytes_list` that is all zero or as the library filled it; items that
 * were freed one by one before are fine.
 */
void rdzv_bytes_list_free(struct rdzv_bytes_list *list);

/**
 * Creates parameters.
 *
 * `backend` is a label for your own use, such as "etcd-v2": any text that is not empty. `endpoint` is `host`,
 * `host:port`, `[ipv6]:port` or a comma-separated list of them; the host defaults to `localhost` and the port to
 * 2379, NULL and "" to both. `run_id` names the rendezvous; those who use the same one meet. `min_nodes` must be
 * greater than zero and `max_nodes` not smaller. Endpoint and run id are checked where a backend is created.
 *
 * On success `*params` is owned by the caller: free it with `rdzv_free_params()`.
 *
 * Returns `RDZV_STATUS_OK`, `RDZV_STATUS_NULL_ARGUMENT`, or `RDZV_STATUS_INVALID_ARGUMENT` with the rule that is
 * broken.
 *
 * # Safety
 * Each text must be NULL or NUL-terminated; `params` must be NULL or writable.
 */
rdzv_status rdzv_create_params(const char *backend,
                               const char *endpoint,
                               const char *run_id,
                               int64_t min_nodes,
                               int64_t max_nodes,
                               struct rdzv_params **params);

/**
 * Sets the option `key` to `value`, replacing what it was. Both are UTF-8.
 *
 * The options and their defaults are listed in the README. Values are checked where a backend is created. Unknown
 * options are kept, can be read back, and have no effect.
 *
 * Returns `RDZV_STATUS_OK`, `RDZV_STATUS_NULL_ARGUMENT`, or `RDZV_STATUS_INVALID_ARGUMENT` for an empty `key` and
 * for text that is not UTF-8; the option is then as it was.
 *
 * # Safety
 * `params` must be NULL or live and not in use elsewhere; each text must be NULL or NUL-terminated.
 */
rdzv_status rdzv_params_set(struct rdzv_params *params,
                            const char *key,
                            const char *value);

/**
 * Sets several options at once from `config`, which reads `key1=value1,key2=value2`. White space around keys and
 * values is dropped, the last of equal keys counts, and a value cannot contain a comma.
 *
 * Returns as `rdzv_params_set()` does, `RDZV_STATUS_INVALID_ARGUMENT` also where `config` does not have that format.
 * On failure no option is changed.
 *
 * # Safety
 * `params` must be NULL or live and not in use elsewhere; `config` must be NULL or NUL-terminated.
 */
rdzv_status rdzv_params_set_config(struct rdzv_params *params,
                                   const char *config);

/**
 * Takes the option `key` back to its default. One that is not set is left so, with `RDZV_STATUS_OK`.
 *
 * Returns `RDZV_STATUS_OK`, `RDZV_STATUS_NULL_ARGUMENT`, or `RDZV_STATUS_INVALID_ARGUMENT`.
 *
 * # Safety
 * `params` must be NULL or live and not in use elsewhere; `key` must be NULL or NUL-terminated.
 */
rdzv_status rdzv_params_unset(struct rdzv_params *params,
                              const char *key);

/**
 * Reads the option `key` as it was set. Free `*value` with `rdzv_bytes_free()`; its `data` is a C string.
 *
 * Returns `RDZV_STATUS_OK`, `RDZV_STATUS_NULL_ARGUMENT`, `RDZV_STATUS_INVALID_ARGUMENT`, or `RDZV_STATUS_NOT_FOUND`
 * where the option is not set.
 *
 * # Safety
 * `params` must be NULL or live; `key` must be NULL or NUL-terminated; `value` must be NULL or writable.
 */
rdzv_status rdzv_params_get(const struct rdzv_params *params,
                            const char *key,
                            struct rdzv_bytes *value);

/**
 * Frees parameters. NULL is nothing to do.
 *
 * # Safety
 * `params` must be NULL, or live and not in use anywhere.
 */
void rdzv_free_params(struct rdzv_params *params);

/**
 * Connects to etcd and creates the backend of the run id in `params`, and the store that goes with it.
 *
 * The connect timeout bounds how long it takes. On success `*backend` and `*store` are owned by the caller: free
 * them with `rdzv_free_backend()` and `rdzv_free_store()`, in any order. `params` is copied.
 *
 * Returns `RDZV_STATUS_OK`, `RDZV_STATUS_NULL_ARGUMENT`, `RDZV_STATUS_INVALID_ARGUMENT` (an option is wrong),
 * `RDZV_STATUS_CONNECTION` (no endpoint answers), `RDZV_STATUS_AUTH`, `RDZV_STATUS_SERVER`, or
 * `RDZV_STATUS_UNSUPPORTED` (the etcd does not offer the API that the option `api` asks for).
 *
 * # Safety
 * `params` must be NULL or live; `backend` and `store` must be NULL or writable.
 */
rdzv_status rdzv_create_backend(const struct rdzv_params *params,
                                struct rdzv_backend **backend,
                                struct rdzv_store **store);

/**
 * The name of the API that the backend speaks: "etcd-v2" or "etcd-v3"; "" for NULL.
 *
 * Never NULL; good until the backend is freed.
 *
 * # Safety
 * `backend` must be NULL or live.
 */
const char *rdzv_backend_name(const struct rdzv_backend *backend);

/**
 * Reads the state and its token.
 *
 * On success free `*state` with `rdzv_bytes_free()`; `*token` is never 0.
 *
 * Returns `RDZV_STATUS_OK`, `RDZV_STATUS_NOT_FOUND` where there is no state, `RDZV_STATUS_STATE` where there is one
 * that cannot be decoded, `RDZV_STATUS_NULL_ARGUMENT`, `RDZV_STATUS_CONNECTION`, `RDZV_STATUS_TIMEOUT`,
 * `RDZV_STATUS_CANCELLED`, `RDZV_STATUS_AUTH` or `RDZV_STATUS_SERVER`.
 *
 * # Safety
 * `backend` must be NULL or live; `state` and `token` must be NULL or writable.
 */
rdzv_status rdzv_get_state(const struct rdzv_backend *backend,
                           struct rdzv_bytes *state,
                           uint64_t *token);

/**
 * Replaces the state if `token` is current, or with `token` 0 creates it if there is none.
 *
 * On success `*state_out`, `*token_out` and `*has_set` tell what is stored now: with `*has_set` true the new state
 * and its token, with false the state and token of whoever was there first. Losing is not a failure. Free
 * `*state_out` with `rdzv_bytes_free()`. Each write gives the state its full time to live, 7200 s unless the option
 * `ttl` says otherwise.
 *
 * Returns `RDZV_STATUS_OK`, `RDZV_STATUS_NOT_FOUND` where `token` is not 0 and the state has vanished,
 * `RDZV_STATUS_UNKNOWN_OUTCOME` where the write was sent and neither it nor its failure could be confirmed, or as
 * `rdzv_get_state()`.
 *
 * # Safety
 * `backend` must be NULL or live; `state` must be NULL or hold `state_len` bytes; `state_out`, `token_out` and
 * `has_set` must be NULL or writable.
 */
rdzv_status rdzv_set_state(const struct rdzv_backend *backend,
                           const uint8_t *state,
                           size_t state_len,
                           uint64_t token,
                           struct rdzv_bytes *state_out,
                           uint64_t *token_out,
                           bool *has_set);

/**
 * Ends the calls that are blocked on this handle, and all later ones, with `RDZV_STATUS_CANCELLED`. For good.
 *
 * Safe from any thread and from a signal handler. NULL is nothing to do. The store is cancelled on its own.
 *
 * # Safety
 * `backend` must be NULL or live.
 */
void rdzv_backend_cancel(const struct rdzv_backend *backend);

/**
 * Frees a backend. The state in etcd stays. NULL is nothing to do; etcd need not be alive.
 *
 * # Safety
 * `backend` must be NULL, or live and not in use anywhere.
 */
void rdzv_free_backend(struct rdzv_backend *backend);

/**
 * Sets `key` to a value, replacing what it was.
 *
 * # Safety
 * `store` must be NULL or live; `key` must be NULL or NUL-terminated; `value` must be NULL or hold `value_len`
 * bytes.
 */
rdzv_status rdzv_store_set(const struct rdzv_store *store,
                           const char *key,
                           const uint8_t *value,
                           size_t value_len);

/**
 * Waits until `key` is there and reads it. Free `*value` with `rdzv_bytes_free()`.
 *
 * Returns `RDZV_STATUS_TIMEOUT` where the key has not come within the store's timeout.
 *
 * # Safety
 * `store` must be NULL or live; `key` must be NULL or NUL-terminated; `value` must be NULL or writable.
 */
rdzv_status rdzv_store_get(const struct rdzv_store *store,
                           const char *key,
                           struct rdzv_bytes *value);

/**
 * Adds `amount` to the counter `key`, which starts at 0, and puts the sum into `*value`. An `amount` of 0 only
 * reads.
 *
 * Returns `RDZV_STATUS_INVALID_ARGUMENT` where the key holds something that is not a number or the sum does not fit,
 * `RDZV_STATUS_UNKNOWN_OUTCOME` where it cannot be known whether this call has counted; it never counts twice.
 *
 * # Safety
 * `store` must be NULL or live; `key` must be NULL or NUL-terminated; `value` must be NULL or writable.
 */
rdzv_status rdzv_store_add(const struct rdzv_store *store,
                           const char *key,
                           int64_t amount,
                           int64_t *value);

/**
 * Sets `key` to `desired` if it holds `expected`, or if it is absent and `expected` is empty.
 *
 * `*value` is what the key holds then: `desired` where it was set, else what is there; where the key is absent and
 * `expected` is not empty it is `expected`, as in TCPStore. Free it with `rdzv_bytes_free()`.
 *
 * Returns `RDZV_STATUS_UNKNOWN_OUTCOME` where the write was sent and its fate cannot be known.
 *
 * # Safety
 * `store` must be NULL or live; `key` must be NULL or NUL-terminated; `expected` and `desired` must be NULL or hold
 * as many bytes as their lengths say; `value` must be NULL or writable.
 */
rdzv_status rdzv_store_compare_set(const struct rdzv_store *store,
                                   const char *key,
                                   const uint8_t *expected,
                                   size_t expected_len,
                                   const uint8_t *desired,
                                   size_t desired_len,
                                   struct rdzv_bytes *value);

/**
 * Appends to the value of `key`, or creates it.
 *
 * Returns `RDZV_STATUS_UNKNOWN_OUTCOME` where it cannot be known whether this call has appended; it never does so
 * twice.
 *
 * # Safety
 * `store` must be NULL or live; `key` must be NULL or NUL-terminated; `value` must be NULL or hold `value_len`
 * bytes.
 */
rdzv_status rdzv_store_append(const struct rdzv_store *store,
                              const char *key,
                              const uint8_t *value,
                              size_t value_len);

/**
 * Deletes `key`; `*deleted` says whether there was one.
 *
 * # Safety
 * `store` must be NULL or live; `key` must be NULL or NUL-terminated; `deleted` must be NULL or writable.
 */
rdzv_status rdzv_store_delete_key(const struct rdzv_store *store,
                                  const char *key,
                                  bool *deleted);

/**
 * Sets the timeout that the calls on this handle use, in milliseconds. 0 means now or never. Defaults to 300000.
 *
 * Returns `RDZV_STATUS_INVALID_ARGUMENT` for `RDZV_STORE_TIMEOUT`.
 *
 * # Safety
 * `store` must be NULL or live.
 */
rdzv_status rdzv_store_set_timeout(const struct rdzv_store *store,
                                   uint64_t timeout_ms);

/**
 * Reads the timeout that the calls on this handle use, in milliseconds.
 *
 * # Safety
 * `store` must be NULL or live; `timeout_ms` must be NULL or writable.
 */
rdzv_status rdzv_store_timeout(const struct rdzv_store *store, uint64_t *timeout_ms);

/**
 * Creates another handle on the same store, with a timeout and a cancellation of its own; the timeout starts as this
 * one's. Free it with `rdzv_free_store()`, before or after this one. Sends nothing.
 *
 * # Safety
 * `store` must be NULL or live; `new_store` must be NULL or writable.
 */
rdzv_status rdzv_store_clone(const struct rdzv_store *store,
                             struct rdzv_store **new_store);

/**
 * Creates a handle like `rdzv_store_clone()` does, whose keys all have `prefix` and a "/" put before them, as c10d's
 * PrefixStore. Prefixes nest.
 *
 * # Safety
 * `store` must be NULL or live; `prefix` must be NULL or NUL-terminated; `new_store` must be NULL or writable.
 */
rdzv_status rdzv_store_with_prefix(const struct rdzv_store *store,
                                   const char *prefix,
                                   struct rdzv_store **new_store);

/**
 * Ends the calls that are blocked on this handle, and all later ones, with `RDZV_STATUS_CANCELLED`. For good.
 *
 * Safe from any thread and from a signal handler. NULL is nothing to do. Clones are cancelled on their own.
 *
 * # Safety
 * `store` must be NULL or live.
 */
void rdzv_store_cancel(const struct rdzv_store *store);

/**
 * Frees a handle. The keys in etcd stay. NULL is nothing to do; etcd need not be alive.
 *
 * # Safety
 * `store` must be NULL, or live and not in use anywhere.
 */
void rdzv_free_store(struct rdzv_store *store);

/**
 * Waits until all `count` keys are there, for at most `timeout_ms`: 0 looks once, `RDZV_STORE_TIMEOUT` takes the
 * store's own. No keys are all there at once; one named twice counts once.
 *
 * Returns `RDZV_STATUS_TIMEOUT` with a message that names the missing keys.
 *
 * # Safety
 * `store` must be NULL or live; `keys` must be NULL or hold `count` NUL-terminated strings.
 */
rdzv_status rdzv_store_wait(const struct rdzv_store *store,
                            const char *const *keys,
                            size_t count,
                            uint64_t timeout_ms);

/**
 * Tells in `*present` whether all `count` keys are there, without waiting. No keys are.
 *
 * # Safety
 * `store` must be NULL or live; `keys` must be NULL or hold `count` NUL-terminated strings; `present` must be NULL
 * or writable.
 */
rdzv_status rdzv_store_check(const struct rdzv_store *store,
                             const char *const *keys,
                             size_t count,
                             bool *present);

/**
 * Waits until all `count` keys are there and reads them, in the order given. Free `*values` with
 * `rdzv_bytes_list_free()`.
 *
 * Returns `RDZV_STATUS_TIMEOUT` where they have not all come within the store's timeout.
 *
 * # Safety
 * `store` must be NULL or live; `keys` must be NULL or hold `count` NUL-terminated strings; `values` must be NULL or
 * writable.
 */
rdzv_status rdzv_store_multi_get(const struct rdzv_store *store,
                                 const char *const *keys,
                                 size_t count,
                                 struct rdzv_bytes_list *values);

/**
 * Sets `count` keys to the values at the same places in `values`. On failure some of them may be set.
 *
 * # Safety
 * `store` must be NULL or live; `keys` must be NULL or hold `count` NUL-terminated strings; `values` must be NULL or
 * hold `count` entries.
 */
rdzv_status rdzv_store_multi_set(const struct rdzv_store *store,
                                 const char *const *keys,
                                 const struct rdzv_bytes *values,
                                 size_t count);

/**
 * Counts the keys of the whole store, of all runs; through a prefix too, as c10d's `PrefixStore` does. Queues are not
 * keys.
 *
 * # Safety
 * `store` must be NULL or live; `count` must be NULL or writable.
 */
rdzv_status rdzv_store_num_keys(const struct rdzv_store *store,
                                uint64_t *count);

/**
 * Lists the keys, sorted by their bytes; a handle with a prefix lists those under its prefix, without it.
 *
 * Free `*keys` with `rdzv_bytes_list_free()`. A key is a C string unless a peer wrote one with a NUL inside, which
 * only its `len` tells and which no call that takes a C string can name.
 *
 * # Safety
 * `store` must be NULL or live; `keys` must be NULL or writable.
 */
rdzv_status rdzv_store_list_keys(const struct rdzv_store *store,
                                 struct rdzv_bytes_list *keys);

/**
 * Puts a value at the end of the queue `key`.
 *
 * Returns `RDZV_STATUS_UNKNOWN_OUTCOME` where it cannot be known whether the value is in the queue; it never is
 * there twice.
 *
 * # Safety
 * `store` must be NULL or live; `key` must be NULL or NUL-terminated; `value` must be NULL or hold `value_len`
 * bytes.
 */
rdzv_status rdzv_store_queue_push(const struct rdzv_store *store,
                                  const char *key,
                                  const uint8_t *value,
                                  size_t value_len);

/**
 * Takes the first value of the queue `key`. Where there is none it waits with `block` true until the store's
 * timeout. Free `*value` with `rdzv_bytes_free()`.
 *
 * Returns `RDZV_STATUS_NOT_FOUND` where the queue is empty and `block` is false, `RDZV_STATUS_TIMEOUT` where it
 * stayed empty, `RDZV_STATUS_UNKNOWN_OUTCOME` where it cannot be known whether a value was taken.
 *
 * # Safety
 * `store` must be NULL or live; `key` must be NULL or NUL-terminated; `value` must be NULL or writable.
 */
rdzv_status rdzv_store_queue_pop(const struct rdzv_store *store,
                                 const char *key,
                                 bool block,
                                 struct rdzv_bytes *value);

/**
 * Counts the values in the queue `key`; 0 where there is no such queue.
 *
 * # Safety
 * `store` must be NULL or live; `key` must be NULL or NUL-terminated; `len` must be NULL or writable.
 */
rdzv_status rdzv_store_queue_len(const struct rdzv_store *store,
                                 const char *key,
                                 uint64_t *len);

/**
 * Waits until `world_size` callers are at the barrier `key`, for at most `timeout_ms`: 0 looks once,
 * `RDZV_STORE_TIMEOUT` takes the store's own. A key serves once: take another for the next barrier.
 *
 * # Safety
 * `store` must be NULL or live; `key` must be NULL or NUL-terminated.
 */
rdzv_status rdzv_store_barrier(const struct rdzv_store *store,
                               const char *key,
                               uint64_t world_size,
                               uint64_t timeout_ms);

/**
 * Connects to etcd and creates a handler for the run id of `params`, which also holds the bounds (`min_nodes`,
 * `max_nodes`) and the handler's options. It joins nothing yet.
 *
 * On success `*handler` is owned by the caller: free it with `rdzv_free_handler()`. `params` is copied.
 *
 * Returns what `rdzv_create_backend()` returns; `RDZV_STATUS_INVALID_ARGUMENT` also for the handler's own options.
 *
 * # Safety
 * `params` must be NULL or live; `handler` must be NULL or writable.
 */
rdzv_status rdzv_create_handler(const struct rdzv_params *params,
                                struct rdzv_handler **handler);

/**
 * Leaves the round that this node is in, if any, joins the next one, and returns this node's place in it.
 *
 * Blocks until the round is complete: at once when `max_nodes` are there, `last_call_timeout` after `min_nodes` are.
 * A spare waits without a limit; every other node for `join_timeout` at the most, of which a first join begins with a
 * random pause: up to 0.3 s, as in PyTorch, or 2 ms for each of `min_nodes` where that is longer. On success `*store` is the round's
 * store, whose keys have the prefix "torch.rendezvous.RUN_ID.ROUND/"; free it with `rdzv_free_store()`.
 *
 * Returns `RDZV_STATUS_OK`, `RDZV_STATUS_NULL_ARGUMENT`, `RDZV_STATUS_CLOSED`, `RDZV_STATUS_TIMEOUT` (too few nodes;
 * the message says how many), `RDZV_STATUS_STATE` (the state is not a rendezvous state), `RDZV_STATUS_CANCELLED`,
 * `RDZV_STATUS_INVALID_ARGUMENT` (another thread is joining), `RDZV_STATUS_CONNECTION`, `RDZV_STATUS_AUTH` or
 * `RDZV_STATUS_SERVER`.
 *
 * # Safety
 * `handler` must be NULL or live; `info` and `store` must be NULL or writable.
 */
rdzv_status rdzv_next_rendezvous(const struct rdzv_handler *handler,
                                 struct rdzv_rendezvous_info *info,
                                 struct rdzv_store **store);

/**
 * Tells whether the run is closed. Asks etcd at most once a second.
 *
 * Returns `RDZV_STATUS_OK`, `RDZV_STATUS_NULL_ARGUMENT`, `RDZV_STATUS_STATE`, `RDZV_STATUS_CANCELLED`,
 * `RDZV_STATUS_CONNECTION`, `RDZV_STATUS_AUTH` or `RDZV_STATUS_SERVER`.
 *
 * # Safety
 * `handler` must be NULL or live; `is_closed` must be NULL or writable.
 */
rdzv_status rdzv_handler_is_closed(const struct rdzv_handler *handler,
                                   bool *is_closed);

/**
 * Closes the run: every node that is joining, and every one that will, gets `RDZV_STATUS_CLOSED`.
 *
 * Returns `RDZV_STATUS_OK`, also where it was closed already, `RDZV_STATUS_TIMEOUT` after `close_timeout`, or what
 * `rdzv_handler_is_closed()` returns.
 *
 * # Safety
 * `handler` must be NULL or live.
 */
rdzv_status rdzv_handler_set_closed(const struct rdzv_handler *handler);

/**
 * Counts the nodes that wait for the next round: not 0 means that this node should leave and join again. Asks etcd
 * at most once a second.
 *
 * Returns what `rdzv_handler_is_closed()` returns.
 *
 * # Safety
 * `handler` must be NULL or live; `count` must be NULL or writable.
 */
rdzv_status rdzv_handler_num_nodes_waiting(const struct rdzv_handler *handler,
                                           uint64_t *count);

/**
 * The run id; "" for NULL. Never NULL; good until the handler is freed.
 *
 * # Safety
 * `handler` must be NULL or live.
 */
const char *rdzv_handler_run_id(const struct rdzv_handler *handler);

/**
 * Stops the heartbeats and closes the run. `*has_closed` is false where the run could not be closed, as PyTorch has
 * it; `rdzv_handler_status_json()` says why.
 *
 * Returns `RDZV_STATUS_OK`, `RDZV_STATUS_NULL_ARGUMENT`, or `RDZV_STATUS_INVALID_ARGUMENT` (another thread is joining:
 * cancel it first).
 *
 * # Safety
 * `handler` must be NULL or live; `has_closed` must be NULL or writable.
 */
rdzv_status rdzv_handler_shutdown(const struct rdzv_handler *handler,
                                  bool *has_closed);

/**
 * Tells what this node knows of the run, as a JSON object in UTF-8, NUL-terminated. Free it with `rdzv_bytes_free()`.
 *
 * Its fields: `run_id`, `node`, `phase` (idle, joining, joined, shut down), `round`, `complete`, `closed`,
 * `min_nodes`, `max_nodes`; `participants`, `waiting` and `spares` (each with `address`, `pid`, `local_id`,
 * `heartbeat_age_s`, and `rank` in a complete round); `missing` (how many more nodes a round needs), `lost` (nodes that
 * died since the last join began), `seconds_left` (of a join), `last_call_seconds_left`, `clock_skew_s`, `endpoint`,
 * `last_error`. Later versions may add fields. It asks etcd only where this node has not joined, and reports a failure
 * of that in `last_error`.
 *
 * Returns `RDZV_STATUS_OK` or `RDZV_STATUS_NULL_ARGUMENT`.
 *
 * # Safety
 * `handler` must be NULL or live; `json` must be NULL or writable.
 */
rdzv_status rdzv_handler_status_json(const struct rdzv_handler *handler,
                                     struct rdzv_bytes *json);

/**
 * Has `callback` told of what happens in the run; NULL switches that off, which is the default.
 *
 * When this returns OK, the previous callback is not running in any thread and will not run again. A forked child
 * starts without one.
 *
 * Returns `RDZV_STATUS_OK`, `RDZV_STATUS_NULL_ARGUMENT`, or `RDZV_STATUS_INVALID_ARGUMENT` from within a callback.
 *
 * # Safety
 * `handler` must be NULL or live; `callback` must be NULL or callable from any thread with `user_data` until it is
 * replaced or the handler freed.
 */
rdzv_status rdzv_handler_set_event_callback(const struct rdzv_handler *handler,
                                            rdzv_event_callback callback,
                                            void *user_data);

/**
 * Ends the calls that are blocked on this handler, and every later one, with `RDZV_STATUS_CANCELLED`. NULL is ignored.
 *
 * Heartbeats go on until the handler is shut down or freed. May be called from any thread and from a signal handler.
 *
 * # Safety
 * `handler` must be NULL or live.
 */
void rdzv_handler_cancel(const struct rdzv_handler *handler);

/**
 * Frees the handler: its heartbeats end within 100 ms, and the run is not closed. NULL is ignored.
 *
 * # Safety
 * `handler` must be NULL or live, and no other call may be using it.
 */
void rdzv_free_handler(struct rdzv_handler *handler);

/**
 * Creates options, all at their defaults. Free them with `rdzv_free_server_options()`.
 *
 * # Safety
 * `options` must be NULL or writable.
 */
rdzv_status rdzv_create_server_options(struct rdzv_server_options **options);

/**
 * Sets one option; both texts are UTF-8.
 *
 * | key | value | default |
 * |---|---|---|
 * | `binary` | path of etcd | `RDZV_ETCD_BINARY`, `TORCHELASTIC_ETCD_BINARY_PATH`, `etcd` in `PATH` |
 * | `data_dir` | where etcd keeps its data; never removed | a temporary directory that goes with the server |
 * | `host` | `localhost` or the IP address to listen on | `localhost` |
 * | `port` | 0 to 65535, 0 being any free one | 0 |
 * | `timeout_ms` | how long the start may take, in milliseconds, up to a day | 60000 |
 * | `attempts` | 1 to 100: how often etcd is started when its port turns out to be taken | 3 |
 * | `enable_v2` | `true`, `false`, or `auto`: where this etcd knows the v2 API | `auto` |
 * | `stderr` | `inherit`, or `discard`, which keeps the last lines for error messages | `discard` |
 * | `args` | more arguments for etcd, separated by white space | none |
 *
 * Returns `RDZV_STATUS_OK`, `RDZV_STATUS_NULL_ARGUMENT`, or `RDZV_STATUS_INVALID_ARGUMENT` for an unknown key or a
 * wrong value; the option is then as it was.
 *
 * # Safety
 * `options` must be NULL or live and not in use elsewhere; each text must be NULL or NUL-terminated.
 */
rdzv_status rdzv_server_options_set(struct rdzv_server_options *options,
                                    const char *key,
                                    const char *value);

/**
 * Frees options. NULL is nothing to do.
 *
 * # Safety
 * `options` must be NULL, or live and not in use anywhere.
 */
void rdzv_free_server_options(struct rdzv_server_options *options);

/**
 * Starts an etcd and waits until it answers. `options` may be NULL for the defaults, and is copied.
 *
 * On success `*server` is owned by the caller: free it with `rdzv_free_server()`.
 *
 * Returns `RDZV_STATUS_OK`, `RDZV_STATUS_NULL_ARGUMENT`, `RDZV_STATUS_INVALID_ARGUMENT` (the etcd that is named is
 * not there), `RDZV_STATUS_TIMEOUT` (it did not get ready), `RDZV_STATUS_SERVER` (none was found, or it exited: the
 * cause has its last lines), or `RDZV_STATUS_UNSUPPORTED` (v2 is asked for and this etcd has none).
 *
 * # Safety
 * `options` must be NULL or live; `server` must be NULL or writable.
 */
rdzv_status rdzv_start_server(const struct rdzv_server_options *options,
                              struct rdzv_server **server);

/**
 * The endpoint that clients use, `host:port`; "" for NULL. Never NULL; good until the server is freed.
 *
 * # Safety
 * `server` must be NULL or live.
 */
const char *rdzv_server_endpoint(const struct rdzv_server *server);

/**
 * The host that the server listens on; "" for NULL. Never NULL; good until the server is freed.
 *
 * # Safety
 * `server` must be NULL or live.
 */
const char *rdzv_server_host(const struct rdzv_server *server);

/**
 * The port that clients use; 0 for NULL.
 *
 * # Safety
 * `server` must be NULL or live.
 */
uint16_t rdzv_server_port(const struct rdzv_server *server);

/**
 * The version that etcd gives itself, such as "3.4.23"; "" for NULL. Never NULL; good until the server is freed.
 *
 * # Safety
 * `server` must be NULL or live.
 */
const char *rdzv_server_version(const struct rdzv_server *server);

/**
 * Stops the server: asks it to end, kills it if it does not, and removes the directory that was made for it. One
 * that has stopped already is left so, with `RDZV_STATUS_OK`.
 *
 * # Safety
 * `server` must be NULL or live.
 */
rdzv_status rdzv_stop_server(const struct rdzv_server *server);

/**
 * Stops the server if it runs, and frees the handle. NULL is nothing to do.
 *
 * # Safety
 * `server` must be NULL, or live and not in use anywhere.
 */
void rdzv_free_server(struct rdzv_server *server);

/**
 * Sends the log lines of `level` and all more important ones to `callback`. A NULL `callback` or `RDZV_LOG_OFF`
 * switches logging off, which is the default. There is one callback for the process.
 *
 * When this returns OK, the previous callback is not running in any thread and will not run again, so that its
 * `user_data` can be freed. A forked child starts with logging off. Lines never hold passwords, tokens or values.
 *
 * Returns `RDZV_STATUS_OK`, or `RDZV_STATUS_INVALID_ARGUMENT` for an unknown level or when called from within a
 * callback.
 *
 * # Safety
 * `callback` must be NULL or callable from any thread with `user_data` until it is replaced.
 */
rdzv_status rdzv_set_log_callback(int32_t level,
                                  rdzv_log_callback callback,
                                  void *user_data);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* RDZV_H */
