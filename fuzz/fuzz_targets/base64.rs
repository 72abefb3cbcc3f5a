//! Base64 as Python reads it: what `base64.b64decode` returns, the library does; what it refuses, the library refuses.
#![no_main]

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use libfuzzer_sys::fuzz_target;

/// Reads a length and as many bytes, and answers with a length and what they stand for: -1 where that is nothing, -2
/// where it is not known, since Pythons of 2026 read on after a padding and those before them do not.
const ORACLE: &str = "
import base64, binascii, re, struct, sys
read, write = sys.stdin.buffer.read, sys.stdout.buffer.write
reads_on = base64.b64decode(b'YQ==Yg==') != b'a'
while head := read(4):
    text = read(struct.unpack('<i', head)[0])
    try:
        if reads_on and re.search(b'=[^=]*[A-Za-z0-9+/]', text):
            write(struct.pack('<i', -2))
        else:
            value = base64.b64decode(text)
            write(struct.pack('<i', len(value)) + value)
    except binascii.Error:
        write(struct.pack('<i', -1))
    sys.stdout.buffer.flush()
";

/// What Python reads; none where it does not say.
fn python(text: &[u8]) -> Option<Option<Vec<u8>>> {
    static PYTHON: OnceLock<Mutex<Child>> = OnceLock::new();
    let start = || {
        let mut command = Command::new("python3");
        command.args(["-c", ORACLE]).stdin(Stdio::piped()).stdout(Stdio::piped());
        Mutex::new(command.spawn().expect("python3 is what the library is compared with"))
    };
    let mut python = PYTHON.get_or_init(start).lock().unwrap();
    let input = python.stdin.as_mut().unwrap();
    input.write_all(&[&i32::try_from(text.len()).unwrap().to_le_bytes(), text].concat()).unwrap();
    let output = python.stdout.as_mut().unwrap();
    let mut length = [0; 4];
    output.read_exact(&mut length).unwrap();
    let length = match i32::from_le_bytes(length) {
        -2 => return None,
        -1 => return Some(None),
        length => usize::try_from(length).unwrap(),
    };
    let mut value = vec![0; length];
    output.read_exact(&mut value).unwrap();
    Some(Some(value))
}

fuzz_target!(|text: &[u8]| {
    let read = rdzv::fuzzing::decode_base64(text);
    if let Some(expected) = python(text) {
        assert_eq!(read, expected);
    }
    if let Some(bytes) = &read {
        assert_eq!(rdzv::fuzzing::decode_base64(rdzv::fuzzing::encode_base64(bytes).as_bytes()), read);
    }
});
