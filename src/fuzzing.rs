//! What the fuzz targets in `fuzz/` reach beyond the public API; compiled for them alone.

pub use crate::etcd::fuzzing::{error_body, layout, v2_body, v3_body, wire};

/// What Python's `b64decode` reads.
pub fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    crate::base64::decode_lenient(text)
}

/// What Python's `b64encode` writes.
pub fn encode_base64(bytes: &[u8]) -> String {
    crate::base64::encode(bytes)
}
