//! Base64 as PyTorch writes it, and as Python reads it.
//!
//! PyTorch decodes state and store values with `base64.b64decode(value.encode())`, which skips whatever is outside
//! the alphabet and is easy about padding. A node that is stricter than its Python peers would call corrupt what they
//! go on using, so [`decode_lenient`] follows `binascii.a2b_base64` of CPython 3.11 input for input. (CPython patched
//! in 2026, gh-145264, reads on after a completed padding instead of stopping there; every release before it, and so
//! nearly every peer, stops.)

use ::base64::{
    Engine, alphabet,
    engine::{GeneralPurpose, GeneralPurposeConfig, general_purpose},
};

/// Wants canonical padding, but like Python does not look at the bits of the last digit that carry no data.
const READER: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// The standard alphabet with padding and without line breaks: Python's `b64encode`.
pub(crate) fn encode(bytes: &[u8]) -> String {
    general_purpose::STANDARD.encode(bytes)
}

/// The bytes that Python's `b64decode` reads from `text`, or `None` where it raises `binascii.Error`.
///
/// Canonical text is decoded in one pass; only what that refuses is looked at again with Python's eyes.
pub(crate) fn decode_lenient(text: &[u8]) -> Option<Vec<u8>> {
    READER.decode(text).ok().or_else(|| READER.decode(canonical(text)?).ok())
}

/// What Python sees in `text`, written canonically; `None` where the last quad is neither full nor padded.
///
/// A pad counts only where a quad holds two or three digits, and a digit undoes the pads before it. Once digits and
/// pads fill a quad, Python stops reading.
fn canonical(text: &[u8]) -> Option<Vec<u8>> {
    let mut digits = Vec::with_capacity(text.len().saturating_add(2));
    let mut pads = 0;
    for &byte in text {
        if is_digit(byte) {
            digits.push(byte);
            pads = 0;
        } else if byte == b'=' && digits.len() % 4 >= 2 {
            pads += 1;
            if digits.len() % 4 + pads == 4 {
                digits.extend(std::iter::repeat_n(b'=', pads));
                return Some(digits);
            }
        }
    }
    digits.len().is_multiple_of(4).then_some(digits)
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/'
}

#[cfg(test)]
mod tests {
    use super::{decode_lenient, encode};
    use std::{
        fmt::Write as _,
        io::Write as _,
        process::{Command, Stdio},
    };

    #[test]
    fn encodes_as_python_does() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"x", "eA=="),
            (b"xy", "eHk="),
            (b"xyz", "eHl6"),
            (b"???", "Pz8/"),
            (b"\xfb\xef\xbe", "++++"),
            (b"dummy_state", "ZHVtbXlfc3RhdGU="),
            (b"dummy_key", "ZHVtbXlfa2V5"),
        ] {
            assert_eq!(encode(bytes), text);
            assert_eq!(decode_lenient(text.as_bytes()).as_deref(), Some(bytes), "{text}");
        }
    }

    #[test]
    fn reads_what_python_reads() {
        for (text, bytes) in [
            ("", Some(&b""[..])),
            ("!!!!", Some(b"")),
            ("=", Some(b"")),
            ("====", Some(b"")),
            ("eA==", Some(b"x")),
            ("eA==\n", Some(b"x")),
            ("e A = =", Some(b"x")),
            ("eA===", Some(b"x")),
            ("eA==eA==", Some(b"x")),
            ("eA==garbage", Some(b"x")),
            ("=eA==", Some(b"x")),
            ("e===A==", Some(b"x")),
            ("eA=\n=", Some(b"x")),
            ("é-e_A==", Some(b"x")),
            ("eB==", Some(b"x")), // bits that carry no data
            ("eA=A=", Some(b"x\0")),
            ("eA=A", None),
            ("e=A=", None),
            ("eA", None),
            ("eA=", None),
            ("e", None),
            ("A===", None),
            ("eHl6e", None),
            ("non_base64", None),
        ] {
            assert_eq!(decode_lenient(text.as_bytes()).as_deref(), bytes, "{text:?}");
        }
    }

    /// Reads hex lines, writes the hex of what `b64decode` makes of each, or `error`. The first line is the probe
    /// that tells a CPython which reads on after a completed padding.
    const ORACLE: &str = r#"
import base64, binascii, sys
def decoded(line):
    try:
        return base64.b64decode(bytes.fromhex(line)).hex()
    except binascii.Error:
        return "error"
lines = sys.stdin.read().split("\n")[:-1]
print("\n".join(decoded(line) for line in [b"eA==eA==".hex()] + lines))
"#;

    #[test]
    fn agrees_with_python_on_generated_text() {
        let texts = generated(20_000);
        let answers = ask_python(&texts);
        let stops_at_padding = answers[0] == hex(b"x");
        assert_eq!(answers.len(), texts.len() + 1);
        let (mut compared, mut accepted) = (0, 0);
        for (text, answer) in texts.iter().zip(&answers[1..]) {
            if !stops_at_padding && data_after_padding(text) {
                continue;
            }
            let ours = decode_lenient(text).map_or_else(|| "error".to_owned(), |bytes| hex(&bytes));
            assert_eq!(&ours, answer, "{:?}", String::from_utf8_lossy(text));
            compared += 1;
            accepted += usize::from(answer != "error");
        }
        // Neither verdict may be so rare that the comparison says nothing.
        assert!(compared > 5_000, "only {compared} texts were compared");
        assert!(accepted > 1_000 && compared - accepted > 1_000, "{accepted} of {compared} accepted");
    }

    fn data_after_padding(text: &[u8]) -> bool {
        let tail = text.iter().skip_while(|&&byte| byte != b'=');
        tail.copied().any(super::is_digit)
    }

    /// Short strings, heavy in what the decoder treats specially; the same ones in every run.
    fn generated(count: usize) -> Vec<Vec<u8>> {
        let pieces =
            ["=", "==", "-", "_", "\n", "A", "é", " ", "+", "/", "e", "z", "9", "\0", "\u{7f}", "Zm9v", "eA=="];
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut below = |limit: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            usize::try_from(seed >> 33).unwrap() % limit
        };
        (0..count)
            .map(|_| {
                let mut text = Vec::new();
                for _ in 0..below(12) {
                    if below(8) == 0 {
                        text.push(u8::try_from(below(256)).unwrap());
                    } else {
                        text.extend_from_slice(pieces[below(pieces.len())].as_bytes());
                    }
                }
                text
            })
            .collect()
    }

    fn ask_python(texts: &[Vec<u8>]) -> Vec<String> {
        let mut python = Command::new("python3")
            .args(["-I", "-c", ORACLE])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is what this test compares against; scripts/test.sh installs it");
        let mut input = python.stdin.take().unwrap();
        for text in texts {
            writeln!(input, "{}", hex(text)).unwrap();
        }
        drop(input);
        let output = python.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", output.status);
        String::from_utf8(output.stdout).unwrap().split_terminator('\n').map(str::to_owned).collect()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
    }
}
