//! Sequences of calls of the C ABI on handles that come and go, with arguments that are NULL, not UTF-8, empty or long,
//! and an etcd that answers whatever the input says.
#![no_main]

use std::ffi::{CStr, CString, c_char};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Once, OnceLock};

use libfuzzer_sys::fuzz_target;
use rdzv::ffi::backend::*;
use rdzv::ffi::bytes::*;
use rdzv::ffi::errors::*;
use rdzv::ffi::log::rdzv_set_log_callback;
use rdzv::ffi::params::*;
use rdzv::ffi::server::*;
use rdzv::ffi::status::rdzv_status_name;
use rdzv::ffi::store::*;
use rdzv::ffi::store_many::*;

/// What the etcd has to say.
static MOOD: AtomicU8 = AtomicU8::new(0);

/// The endpoint of something like an etcd with the v2 API.
fn etcd() -> &'static CString {
    static ENDPOINT: OnceLock<CString> = OnceLock::new();
    ENDPOINT.get_or_init(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = listener.local_addr().unwrap().to_string();
        let url = format!("http://{endpoint}");
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let url = url.clone();
                // The library makes one request after the other; a connection that it keeps has a thread of its own.
                std::thread::spawn(move || {
                    let mut request = vec![0; 1 << 16];
                    while let Ok(count @ 1..) = stream.read(&mut request) {
                        let answer = answer(&String::from_utf8_lossy(&request[..count]), &url);
                        if answer.is_empty() || stream.write_all(answer.as_bytes()).is_err() {
                            break;
                        }
                    }
                });
            }
        });
        CString::new(endpoint).unwrap()
    })
}

fn answer(request: &str, url: &str) -> String {
    let node = r#"{"key":"/k","value":"Mw==","modifiedIndex":7,"createdIndex":7}"#;
    // What is no answer at all is seldom: it is asked for again for a second.
    let mood = match MOOD.load(Ordering::Relaxed) % 32 {
        mood @ 30.. => mood - 26,
        mood => mood % 4,
    };
    let (status, body) = match (mood, request) {
        (_, request) if request.starts_with("GET /v2/machines") => ("200 OK", url.to_owned()),
        (0, _) => ("404 Not Found", r#"{"errorCode":100,"message":"Key not found","cause":"/k","index":7}"#.to_owned()),
        (1, _) => ("201 Created", format!(r#"{{"action":"create","node":{node}}}"#)),
        (2, _) => ("412 Precondition Failed", r#"{"errorCode":101,"message":"Compare failed","index":7}"#.to_owned()),
        (3, _) => ("200 OK", format!(r#"{{"action":"get","node":{{"key":"/d","dir":true,"nodes":[{node}]}}}}"#)),
        (4, _) => ("200 OK", "no etcd at all".to_owned()),
        _ => return String::new(),
    };
    format!("HTTP/1.1 {status}\r\nX-Etcd-Index: 7\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// What the input still has.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// Text up to the next NUL; none where its first byte says so.
    fn text(&mut self) -> Option<CString> {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        let (word, rest): (&'a [u8], _) = self.0.split_at(end);
        self.0 = rest.get(1..).unwrap_or_default();
        (word.first() != Some(&0xff)).then(|| CString::new(word).unwrap())
    }
}

fn pointer(text: &Option<CString>) -> *const c_char {
    text.as_ref().map_or(null(), |text| text.as_ptr())
}

/// The handles, each NULL or live.
struct Handles {
    params: *mut rdzv_params,
    options: *mut rdzv_server_options,
    backend: *mut rdzv_backend,
    store: *mut rdzv_store,
}

impl Handles {
    /// # Safety
    /// The handles are as they say.
    unsafe fn free(&mut self) {
        // SAFETY: this function's own clause; nothing is left behind.
        unsafe {
            rdzv_free_params(self.params);
            rdzv_free_server_options(self.options);
            rdzv_free_backend(self.backend);
            rdzv_free_store(self.store);
        }
        *self = NONE;
    }
}

const NONE: Handles = Handles { params: null_mut(), options: null_mut(), backend: null_mut(), store: null_mut() };

/// # Safety
/// `bytes` is zero or the library's.
unsafe fn twice(mut bytes: rdzv_bytes) {
    // SAFETY: this function's own clause; freeing twice is allowed.
    unsafe {
        assert!(bytes.data.is_null() || *bytes.data.add(bytes.len) == 0, "a NUL follows");
        rdzv_bytes_free(&raw mut bytes);
        rdzv_bytes_free(&raw mut bytes);
    }
}

/// # Safety
/// As for [`Handles::free`].
unsafe fn call(choice: u8, input: &mut Input, all: &mut Handles) {
    let (one, two) = (input.text(), input.text());
    let (a, b) = (pointer(&one), pointer(&two));
    let bytes = two.as_ref().map_or(&[][..], |two| two.as_bytes());
    let data = if two.is_some() { bytes.as_ptr() } else { null() };
    let keys = [a, b];
    let count = usize::from(choice >> 6).min(2);
    let store: *const rdzv_store = all.store;
    // SAFETY: pointers are NULL or what the library gave and has not freed; texts live for the call.
    unsafe {
        let mut value: rdzv_bytes = std::mem::zeroed();
        let (mut flag, mut number, mut sum) = (false, 0u64, 0i64);
        match choice % 34 {
            0 => {
                rdzv_free_params(all.params);
                all.params = null_mut();
                let at = i64::from(choice) - 100;
                _ = rdzv_create_params(a, b, a, at, at + 1, &raw mut all.params);
            }
            1 => _ = rdzv_params_set(all.params, a, b),
            2 => _ = rdzv_params_set_config(all.params, a),
            3 => _ = rdzv_params_unset(all.params, a),
            4 => _ = rdzv_params_get(all.params, a, (&raw mut value).cast()),
            5 => {
                rdzv_free_server_options(all.options);
                all.options = null_mut();
                _ = rdzv_create_server_options(&raw mut all.options);
            }
            6 => _ = rdzv_server_options_set(all.options, a, b),
            7 => _ = rdzv_create_params(a, b, a, 1, 1, null_mut()),
            8 => _ = rdzv_stop_server(null()),
            9 => all.free(),
            10 => {
                assert!(CStr::from_ptr(rdzv_status_name(i32::from(choice) - 20)).to_str().is_ok());
                assert!(CStr::from_ptr(rdzv_backend_name(all.backend)).to_str().is_ok());
            }
            11..=13 => {
                MOOD.store(0, Ordering::Relaxed);
                all.free();
                _ = rdzv_create_params(c"etcd".as_ptr(), etcd().as_ptr(), a, 1, 1, &raw mut all.params);
                let quick = c"api=v2,read_timeout=1,reconnect_timeout=0".as_ptr();
                _ = rdzv_params_set_config(all.params, quick);
                _ = rdzv_create_backend(all.params, &raw mut all.backend, &raw mut all.store);
                _ = rdzv_store_set_timeout(all.store, 0);
            }
            14 => _ = rdzv_get_state(all.backend, &raw mut value, &raw mut number),
            15 => {
                let token = u64::from(choice >> 5);
                let has_set = if b.is_null() { null_mut() } else { &raw mut flag };
                _ = rdzv_set_state(all.backend, data, bytes.len(), token, &raw mut value, &raw mut number, has_set);
            }
            16 => _ = rdzv_store_set(store, a, data, bytes.len()),
            17 => _ = rdzv_store_get(store, a, &raw mut value),
            18 => _ = rdzv_store_add(store, a, i64::from(choice) - 100, &raw mut sum),
            19 => _ = rdzv_store_compare_set(store, a, data, bytes.len(), data, bytes.len(), &raw mut value),
            20 => _ = rdzv_store_delete_key(store, a, &raw mut flag),
            21 => _ = rdzv_store_num_keys(store, &raw mut number),
            22 => _ = rdzv_store_wait(store, keys.as_ptr(), count, 0),
            23 => _ = rdzv_store_check(store, keys.as_ptr(), count, &raw mut flag),
            24 | 25 => {
                let mut list: rdzv_bytes_list = std::mem::zeroed();
                if choice % 34 == 24 {
                    _ = rdzv_store_multi_get(store, keys.as_ptr(), count, &raw mut list);
                } else {
                    _ = rdzv_store_list_keys(store, &raw mut list);
                }
                rdzv_bytes_list_free(&raw mut list);
                rdzv_bytes_list_free(&raw mut list);
            }
            26 => {
                let value = || rdzv_bytes { data: data.cast_mut(), len: bytes.len() };
                _ = rdzv_store_multi_set(store, keys.as_ptr(), [value(), value()].as_ptr(), count);
            }
            27 => _ = rdzv_store_queue_push(store, a, data, bytes.len()),
            28 => _ = rdzv_store_queue_pop(store, a, choice > 128, &raw mut value),
            29 => _ = rdzv_store_barrier(store, a, u64::from(choice >> 7), 0),
            30 | 31 => {
                let mut other = null_mut();
                if choice % 34 == 30 {
                    _ = rdzv_store_clone(store, &raw mut other);
                } else {
                    _ = rdzv_store_with_prefix(store, a, &raw mut other);
                }
                rdzv_store_cancel(other);
                rdzv_free_store(other);
            }
            32 => _ = rdzv_store_append(store, a, data, bytes.len()),
            _ => {
                _ = rdzv_last_error_status();
                for text in [rdzv_last_error_message(), rdzv_last_error_cause()] {
                    assert!(CStr::from_ptr(text).to_str().is_ok());
                }
            }
        }
        twice(value);
    }
}

fuzz_target!(|bytes: &[u8]| {
    static QUIET: Once = Once::new();
    // SAFETY: there is no callback.
    QUIET.call_once(|| unsafe { _ = rdzv_set_log_callback(0, None, null_mut()) });
    let mut input = Input(bytes);
    let mut all = NONE;
    let mut calls = 0;
    while let Some(choice) = input.byte().filter(|_| calls < 16) {
        calls += 1;
        MOOD.store(choice >> 2, Ordering::Relaxed);
        // SAFETY: the handles are NULL or what the library gave.
        unsafe { call(choice, &mut input, &mut all) };
    }
    // SAFETY: as above.
    unsafe { all.free() };
});
