//! Lists of keys: repetitions, order, and which of them are missing.

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::etcd::{Call, Entry, Subject, printable};

/// How many missing keys a message names.
const NAMED: usize = 5;

/// What a call about `keys` is about.
pub(super) fn subject(keys: &[Vec<u8>]) -> Subject<'_> {
    match keys {
        [key] => Subject::Key(key),
        keys => Subject::Keys(keys.len()),
    }
}

/// `keys` without repetitions, in order, and for each of `keys` its place among them.
pub(super) fn distinct(keys: Vec<Vec<u8>>) -> (Vec<Vec<u8>>, Vec<usize>) {
    if let [_] = keys.as_slice() {
        return (keys, vec![0]);
    }
    let mut places = HashMap::with_capacity(keys.len());
    let mut order = Vec::with_capacity(keys.len());
    let mut once = Vec::with_capacity(keys.len());
    for key in keys {
        let place = *places.entry(key).or_insert_with_key(|key: &Vec<u8>| {
            once.push(key.clone());
            once.len() - 1
        });
        order.push(place);
    }
    (once, order)
}

/// The values of the given keys, by their places among the distinct ones.
pub(super) fn in_order(call: &Call, mut found: Vec<Option<Entry>>, places: &[usize]) -> Result<Vec<Vec<u8>>> {
    let mut left = vec![0usize; found.len()];
    for place in places {
        if let Some(count) = left.get_mut(*place) {
            *count += 1;
        }
    }
    let mut values = Vec::with_capacity(places.len());
    for place in places {
        let (Some(entry), Some(left)) = (found.get_mut(*place), left.get_mut(*place)) else { continue };
        *left -= 1;
        let entry = if *left == 0 { entry.take() } else { entry.clone() };
        let entry = entry.ok_or_else(|| Error::Server(call.cause("a key was waited for and not read")))?;
        values.push(entry.value);
    }
    Ok(values)
}

/// A timeout that names the keys that were not found, and where they were looked for.
pub(super) fn name_missing(
    call: &Call,
    error: Error,
    keys: &[Vec<u8>],
    found: &[Option<Entry>],
    endpoint: &str,
) -> Error {
    let Error::Timeout { source, .. } = error else { return error };
    let missing: Vec<_> = keys.iter().enumerate().filter(|(at, _)| !matches!(found.get(*at), Some(Some(_)))).collect();
    let mut names: Vec<_> = missing.iter().take(NAMED).map(|(_, key)| printable(key)).collect();
    if missing.len() > NAMED {
        names.push(format!("{} more", missing.len() - NAMED));
    }
    let (waited, names) = (call.elapsed().as_millis(), names.join(", "));
    Error::Timeout { message: format!("{call}: timeout after {waited} ms, missing: {names}, at {endpoint}"), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(names: &[&str]) -> Vec<Vec<u8>> {
        names.iter().map(|name| name.as_bytes().to_vec()).collect()
    }

    #[test]
    fn repetitions_are_asked_for_once() {
        for (given, once, places) in [
            (&[][..], &[][..], &[][..]),
            (&["a"], &["a"], &[0]),
            (&["a", "a"], &["a"], &[0, 0]),
            (&["b", "a", "b", "c", "a"], &["b", "a", "c"], &[0, 1, 0, 2, 1]),
        ] {
            assert_eq!(distinct(keys(given)), (keys(once), places.to_vec()));
        }
    }
}
