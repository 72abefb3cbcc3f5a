//! The JSON of etcd's v3 gateway: what is sent, and what comes back in any of its dialects.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{self, DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base64::{decode_lenient, encode};

/// Bytes, which are base64 in JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bytes(pub(super) Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("base64")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Bytes, E> {
                decode_lenient(text.as_bytes()).map(Bytes).ok_or_else(|| E::custom("bytes are not base64"))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// Borrowed bytes on their way out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Raw<'a>(pub(super) &'a [u8]);

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&encode(self.0))
    }
}

/// A 64-bit number, which the gateway writes as text and takes as either.
fn number<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err: fmt::Display> + TryFrom<i64> + TryFrom<u64>,
    D: Deserializer<'de>,
{
    struct Number<T>(PhantomData<T>);
    impl<T: FromStr<Err: fmt::Display> + TryFrom<i64> + TryFrom<u64>> Visitor<'_> for Number<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("a 64-bit number")
        }

        fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
            T::try_from(number).map_err(|_| E::custom("a number is out of range"))
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
            T::try_from(number).map_err(|_| E::custom("a number is out of range"))
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }
    }
    deserializer.deserialize_any(Number(PhantomData))
}

// --- Out ---

#[derive(Clone, Debug, Serialize)]
pub(super) struct Range<'a> {
    pub(super) key: Raw<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) range_end: Option<Raw<'a>>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) limit: u64,
    #[serde(skip_serializing_if = "is_false")]
    pub(super) keys_only: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(super) count_only: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(super) serializable: bool,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) revision: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sort_order: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sort_target: Option<&'static str>,
}

impl<'a> Range<'a> {
    pub(super) fn of(key: &'a [u8]) -> Self {
        Self {
            key: Raw(key),
            range_end: None,
            limit: 0,
            keys_only: false,
            count_only: false,
            serializable: false,
            revision: 0,
            sort_order: None,
            sort_target: None,
        }
    }
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Put<'a> {
    pub(super) key: Raw<'a>,
    pub(super) value: Raw<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lease: Option<String>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Delete<'a> {
    pub(super) key: Raw<'a>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) enum Op<'a> {
    #[serde(rename = "request_range")]
    Range(Range<'a>),
    #[serde(rename = "request_put")]
    Put(Put<'a>),
    #[serde(rename = "request_delete_range")]
    Delete(Delete<'a>),
    #[serde(rename = "request_txn")]
    Txn(Txn<'a>),
}

/// A comparison, with every field that the gateways read spelt out: one that is missing or unknown counts as its
/// default, without an error.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Compare<'a> {
    key: Raw<'a>,
    target: &'static str,
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    create_revision: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mod_revision: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Raw<'a>>,
}

impl<'a> Compare<'a> {
    fn new(key: &'a [u8], target: &'static str, result: &'static str) -> Self {
        Self { key: Raw(key), target, result, create_revision: None, mod_revision: None, value: None }
    }

    pub(super) fn absent(key: &'a [u8]) -> Self {
        Self { create_revision: Some("0".to_owned()), ..Self::new(key, "CREATE", "EQUAL") }
    }

    pub(super) fn present(key: &'a [u8]) -> Self {
        Self { create_revision: Some("0".to_owned()), ..Self::new(key, "CREATE", "GREATER") }
    }

    pub(super) fn revision(key: &'a [u8], revision: u64) -> Self {
        Self { mod_revision: Some(revision.to_string()), ..Self::new(key, "MOD", "EQUAL") }
    }

    pub(super) fn value(key: &'a [u8], value: &'a [u8]) -> Self {
        Self { value: Some(Raw(value)), ..Self::new(key, "VALUE", "EQUAL") }
    }
}

#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Txn<'a> {
    pub(super) compare: Vec<Compare<'a>>,
    pub(super) success: Vec<Op<'a>>,
    pub(super) failure: Vec<Op<'a>>,
}

#[derive(Debug, Serialize)]
pub(super) struct Watch<'a> {
    pub(super) create_request: WatchCreate<'a>,
}

#[derive(Debug, Serialize)]
pub(super) struct WatchCreate<'a> {
    pub(super) key: Raw<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) range_end: Option<Raw<'a>>,
    pub(super) filters: &'static [&'static str],
}

/// The lease calls spell their fields in capitals.
#[derive(Debug, Serialize)]
pub(super) struct Lease {
    #[serde(rename = "ID")]
    pub(super) id: String,
    #[serde(rename = "TTL", skip_serializing_if = "Option::is_none")]
    pub(super) ttl: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Credentials<'a> {
    pub(super) name: &'a str,
    pub(super) password: &'a str,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_false(flag: &bool) -> bool {
    !flag
}

// --- In. Whatever is zero or empty is left out by the gateway. ---

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Header {
    #[serde(deserialize_with = "number")]
    pub(super) cluster_id: u64,
    #[serde(deserialize_with = "number")]
    pub(super) revision: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct KeyValue {
    pub(super) key: Bytes,
    pub(super) value: Bytes,
    #[serde(deserialize_with = "number")]
    pub(super) mod_revision: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RangeReply {
    pub(super) header: Header,
    pub(super) kvs: Vec<KeyValue>,
    #[serde(deserialize_with = "number")]
    pub(super) count: u64,
    pub(super) more: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PutReply {
    pub(super) header: Header,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TxnReply {
    pub(super) header: Header,
    pub(super) succeeded: bool,
    pub(super) responses: Vec<OpReply>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct OpReply {
    pub(super) response_range: Option<RangeReply>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct GrantReply {
    pub(super) header: Header,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct KeepAliveLine {
    pub(super) result: KeepAliveReply,
}

/// Without a TTL the lease is gone.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct KeepAliveReply {
    pub(super) header: Header,
    #[serde(rename = "TTL", deserialize_with = "number")]
    pub(super) ttl: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct MembersReply {
    pub(super) header: Header,
    pub(super) members: Vec<Member>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Member {
    #[serde(rename = "clientURLs")]
    pub(super) client_urls: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct TokenReply {
    pub(super) header: Header,
    pub(super) token: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WatchReply {
    pub(super) header: Header,
    pub(super) created: bool,
    pub(super) canceled: bool,
    pub(super) cancel_reason: String,
    pub(super) events: Vec<Event>,
}

/// Of kind PUT where the kind is left out.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Event {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) kv: KeyValue,
}

impl Event {
    /// Whether it tells what came after the revision `since`, at which the key was there. A member that lags behind may
    /// tell what is older; and where the key was not there, that is not known of any event.
    pub(super) fn is_put_after(&self, since: u64) -> bool {
        matches!(&*self.kind, "" | "PUT") && since != 0 && self.kv.mod_revision > since
    }
}

/// One line of a stream.
#[derive(Debug, Deserialize)]
pub(super) struct Line<T> {
    pub(super) result: Option<T>,
}

/// An answer that says which cluster it comes from.
pub(super) trait Answer: DeserializeOwned {
    fn header(&self) -> &Header;
}

macro_rules! answers {
    ($($reply:ty: $($path:ident).+),*) => {
        $(impl Answer for $reply {
            fn header(&self) -> &Header {
                &self.$($path).+
            }
        })*
    };
}

answers!(
    RangeReply: header, PutReply: header, TxnReply: header, GrantReply: header, MembersReply: header,
    TokenReply: header, KeepAliveLine: result.header
);

// --- Errors, in three shapes ---

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    error: Option<serde_json::Value>,
    code: Option<i64>,
    message: Option<String>,
}

/// A gRPC error as the gateway passes it on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct GrpcError {
    pub(super) code: i64,
    pub(super) message: String,
}

/// The error in `body`, whichever dialect it is told in.
pub(super) fn grpc_error(body: &[u8]) -> Option<GrpcError> {
    let body: ErrorBody = serde_json::from_slice(body).ok()?;
    if let Some(serde_json::Value::Object(error)) = &body.error {
        let code = error.get("grpc_code").or_else(|| error.get("code"))?.as_i64()?;
        let message = error.get("message").and_then(|message| message.as_str()).unwrap_or_default().to_owned();
        return Some(GrpcError { code, message });
    }
    let text = body.error.and_then(|error| error.as_str().map(str::to_owned));
    Some(GrpcError { code: body.code?, message: body.message.or(text).unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_read_in_every_dialect() {
        for body in [
            r#"{"error":"etcdserver: no leader","message":"etcdserver: no leader","code":14}"#,
            r#"{"error":"etcdserver: no leader","code":14}"#,
            r#"{"code":14, "message":"etcdserver: no leader", "details":[]}"#,
            r#"{"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader","http_status":"x"}}"#,
            r#"{"error":{"code":14,"message":"etcdserver: no leader"}}"#,
        ] {
            let expected = GrpcError { code: 14, message: "etcdserver: no leader".to_owned() };
            assert_eq!(grpc_error(body.as_bytes()), Some(expected), "{body}");
        }
        for body in ["", "404 page not found", "{}", "[]", r#"{"error":"x"}"#] {
            assert_eq!(grpc_error(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn an_event_tells_the_state_only_where_it_is_newer() {
        for (event, since, tells) in [
            (r#"{"kv":{"key":"YQ==","mod_revision":"8"}}"#, 7, true),
            (r#"{"type":"PUT","kv":{"key":"YQ==","mod_revision":"8"}}"#, 8, false),
            (r#"{"kv":{"key":"YQ==","mod_revision":"8"}}"#, 10, false),
            (r#"{"kv":{"key":"YQ==","mod_revision":"8"}}"#, 0, false),
            (r#"{"type":"DELETE","kv":{"key":"YQ==","mod_revision":"8"}}"#, 7, false),
        ] {
            let read: Event = serde_json::from_str(event).unwrap();
            assert_eq!(read.is_put_after(since), tells, "{event} {since}");
        }
    }

    #[test]
    fn zeros_are_left_out_and_numbers_are_text_or_not() {
        let reply: RangeReply = serde_json::from_str(r#"{"header":{"cluster_id":"18446744073709551615"}}"#).unwrap();
        assert_eq!((reply.header.cluster_id, reply.kvs.len(), reply.count), (u64::MAX, 0, 0));
        let reply: RangeReply =
            serde_json::from_str(r#"{"header":{"revision":7},"kvs":[{"key":"YQ==","mod_revision":"6"}],"new":[1]}"#)
                .unwrap();
        assert_eq!((reply.header.revision, reply.kvs[0].mod_revision), (7, 6));
        assert_eq!((&*reply.kvs[0].key.0, &*reply.kvs[0].value.0), (&b"a"[..], &b""[..]));
        for wrong in [r#"{"header":{"revision":"x"}}"#, r#"{"header":{"revision":-1}}"#, r#"{"kvs":[{"key":"!"}]}"#] {
            assert!(serde_json::from_str::<RangeReply>(wrong).is_err() || wrong.contains('!'), "{wrong}");
        }
    }

    #[test]
    fn comparisons_are_spelt_out() {
        let text = |compare| serde_json::to_string(&compare).unwrap();
        assert_eq!(
            text(Compare::absent(b"k")),
            r#"{"key":"aw==","target":"CREATE","result":"EQUAL","create_revision":"0"}"#
        );
        assert_eq!(
            text(Compare::revision(b"k", 8)),
            r#"{"key":"aw==","target":"MOD","result":"EQUAL","mod_revision":"8"}"#
        );
        assert_eq!(text(Compare::value(b"k", b"")), r#"{"key":"aw==","target":"VALUE","result":"EQUAL","value":""}"#);
    }
}
