//! The local etcd server.

use std::ffi::{CString, c_char};

use super::args;
use super::guard::guard;
use super::status::rdzv_status;
use crate::server::{Server, ServerOptions};

/// How to start a server. Calls that change one handle must not overlap with any other call on it.
pub struct rdzv_server_options(ServerOptions);

/// An etcd that runs as a child of this process, and dies with it. One handle serves many threads at once.
pub struct rdzv_server {
    server: Server,
    endpoint: CString,
    host: CString,
    version: CString,
}

const _: () = args::shared_by_threads::<rdzv_server_options>();
const _: () = args::shared_by_threads::<rdzv_server>();

impl rdzv_server {
    fn new(server: Server) -> Self {
        let text = |text: &str| CString::new(text).unwrap_or_default();
        let (endpoint, host, version) = (text(server.endpoint()), text(server.host()), text(server.version()));
        Self { server, endpoint, host, version }
    }
}

/// Creates options, all at their defaults. Free them with `rdzv_free_server_options()`.
///
/// # Safety
/// `options` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_create_server_options(options: *mut *mut rdzv_server_options) -> rdzv_status {
    guard("rdzv_create_server_options", || {
        // SAFETY: this function's own clause.
        let options = unsafe { args::out(options, "options") }?;
        args::give(options, rdzv_server_options(ServerOptions::new()));
        Ok(())
    })
}

/// Sets one option; both texts are UTF-8.
///
/// | key | value | default |
/// |---|---|---|
/// | `binary` | path of etcd | `RDZV_ETCD_BINARY`, `TORCHELASTIC_ETCD_BINARY_PATH`, `etcd` in `PATH` |
/// | `data_dir` | where etcd keeps its data; never removed | a temporary directory that goes with the server |
/// | `host` | `localhost` or the IP address to listen on | `localhost` |
/// | `port` | 0 to 65535, 0 being any free one | 0 |
/// | `timeout_ms` | how long the start may take, in milliseconds, up to a day | 60000 |
/// | `attempts` | 1 to 100: how often etcd is started when its port turns out to be taken | 3 |
/// | `enable_v2` | `true`, `false`, or `auto`: where this etcd knows the v2 API | `auto` |
/// | `stderr` | `inherit`, or `discard`, which keeps the last lines for error messages | `discard` |
/// | `args` | more arguments for etcd, separated by white space | none |
///
/// Returns `RDZV_STATUS_OK`, `RDZV_STATUS_NULL_ARGUMENT`, or `RDZV_STATUS_INVALID_ARGUMENT` for an unknown key or a
/// wrong value; the option is then as it was.
///
/// # Safety
/// `options` must be NULL or live and not in use elsewhere; each text must be NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_server_options_set(
    options: *mut rdzv_server_options,
    key: *const c_char,
    value: *const c_char,
) -> rdzv_status {
    guard("rdzv_server_options_set", || {
        // SAFETY: this function's own clause.
        let (options, key, value) =
            unsafe { (args::borrow_mut(options, "options")?, args::text(key, "key")?, args::text(value, "value")?) };
        Ok(options.0.set(key, value)?)
    })
}

/// Frees options. NULL is nothing to do.
///
/// # Safety
/// `options` must be NULL, or live and not in use anywhere.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_free_server_options(options: *mut rdzv_server_options) {
    // SAFETY: this function's own clause.
    unsafe { args::free(options, "rdzv_free_server_options") };
}

/// Starts an etcd and waits until it answers. `options` may be NULL for the defaults, and is copied.
///
/// On success `*server` is owned by the caller: free it with `rdzv_free_server()`.
///
/// Returns `RDZV_STATUS_OK`, `RDZV_STATUS_NULL_ARGUMENT`, `RDZV_STATUS_INVALID_ARGUMENT` (the etcd that is named is
/// not there), `RDZV_STATUS_TIMEOUT` (it did not get ready), `RDZV_STATUS_SERVER` (none was found, or it exited: the
/// cause has its last lines), or `RDZV_STATUS_UNSUPPORTED` (v2 is asked for and this etcd has none).
///
/// # Safety
/// `options` must be NULL or live; `server` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_start_server(
    options: *const rdzv_server_options,
    server: *mut *mut rdzv_server,
) -> rdzv_status {
    guard("rdzv_start_server", || {
        // SAFETY: this function's own clause.
        let (options, server) = unsafe { (options.as_ref(), args::out(server, "server")?) };
        let started = match options {
            Some(options) => Server::start(&options.0),
            None => Server::start(&ServerOptions::new()),
        }?;
        args::give(server, rdzv_server::new(started));
        Ok(())
    })
}

/// The endpoint that clients use, `host:port`; "" for NULL. Never NULL; good until the server is freed.
///
/// # Safety
/// `server` must be NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_server_endpoint(server: *const rdzv_server) -> *const c_char {
    // SAFETY: this function's own clause.
    unsafe { server.as_ref() }.map_or(c"", |server| server.endpoint.as_c_str()).as_ptr()
}

/// The host that the server listens on; "" for NULL. Never NULL; good until the server is freed.
///
/// # Safety
/// `server` must be NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_server_host(server: *const rdzv_server) -> *const c_char {
    // SAFETY: this function's own clause.
    unsafe { server.as_ref() }.map_or(c"", |server| server.host.as_c_str()).as_ptr()
}

/// The port that clients use; 0 for NULL.
///
/// # Safety
/// `server` must be NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_server_port(server: *const rdzv_server) -> u16 {
    // SAFETY: this function's own clause.
    unsafe { server.as_ref() }.map_or(0, |server| server.server.port())
}

/// The version that etcd gives itself, such as "3.4.23"; "" for NULL. Never NULL; good until the server is freed.
///
/// # Safety
/// `server` must be NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_server_version(server: *const rdzv_server) -> *const c_char {
    // SAFETY: this function's own clause.
    unsafe { server.as_ref() }.map_or(c"", |server| server.version.as_c_str()).as_ptr()
}

/// Stops the server: asks it to end, kills it if it does not, and removes the directory that was made for it. One
/// that has stopped already is left so, with `RDZV_STATUS_OK`.
///
/// # Safety
/// `server` must be NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_stop_server(server: *const rdzv_server) -> rdzv_status {
    guard("rdzv_stop_server", || {
        // SAFETY: this function's own clause.
        let server = unsafe { args::borrow(server, "server") }?;
        Ok(server.server.stop()?)
    })
}

/// Stops the server if it runs, and frees the handle. NULL is nothing to do.
///
/// # Safety
/// `server` must be NULL, or live and not in use anywhere.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_free_server(server: *mut rdzv_server) {
    // SAFETY: this function's own clause.
    unsafe { args::free(server, "rdzv_free_server") };
}
