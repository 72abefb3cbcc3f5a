//! The configuration string, `key=value,key=value`: what follows `--rdzv-conf` for `torchrun`.

use super::{options, python::strip};
use crate::{Error, Result};

/// The pairs of `config` in order, keys and values trimmed; none where it is blank.
pub(super) fn parse(config: &str) -> Result<Vec<(&str, &str)>> {
    let mut pairs = Vec::new();
    let config = strip(config);
    if config.is_empty() {
        return Ok(pairs);
    }
    let mut after_secret = false;
    for item in config.split(',') {
        let (key, value) = item.split_once('=').unwrap_or((item, ""));
        let (key, value) = (strip(key), strip(value));
        if key.is_empty() {
            return Err(Error::InvalidArgument(
                "The rendezvous configuration string must be in format <key1>=<value1>,...,<keyN>=<valueN>.".into(),
            ));
        }
        if value.is_empty() {
            // Behind a password this may be no key but the rest of a password that holds a comma.
            let shown = if after_secret { "***" } else { key };
            return Err(Error::InvalidArgument(format!(
                "The rendezvous configuration option '{shown}' must have a value specified."
            )));
        }
        after_secret |= options::is_secret(key);
        pairs.push((key, value));
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::parse;

    const FORMAT: &str = "The rendezvous configuration string must be in format <key1>=<value1>,...,<keyN>=<valueN>.";

    #[test]
    fn reads_pairs() {
        for (config, pairs) in [
            ("", &[][..]),
            ("   ", &[]),
            ("a=1", &[("a", "1")]),
            (" b= 2  ,c=3=4,  a =1,d=5/6", &[("b", "2"), ("c", "3=4"), ("a", "1"), ("d", "5/6")]),
            ("a b=c d", &[("a b", "c d")]),
            ("a==", &[("a", "=")]),
            ("a=1,a=2", &[("a", "1"), ("a", "2")]),
        ] {
            assert_eq!(parse(config).unwrap(), pairs, "{config:?}");
        }
    }

    #[test]
    fn refuses_what_pytorch_refuses() {
        for config in ["a=1,", "a=1,,c=2", "a=1,   ,c=2", "a=1,=  ,c=2", "a=1, = ,c=2", " ,  ", ",", "=", "=1"] {
            assert_eq!(parse(config).unwrap_err().to_string(), FORMAT, "{config:?}");
        }
        for config in ["b=1,a,c=2", "b=1,c=2,a", "b=1,a=,c=2", "  a ", "a= "] {
            assert_eq!(
                parse(config).unwrap_err().to_string(),
                "The rendezvous configuration option 'a' must have a value specified.",
                "{config:?}"
            );
        }
    }

    #[test]
    fn never_shows_the_rest_of_a_password() {
        assert_eq!(
            parse("username=u,password=open,sesame").unwrap_err().to_string(),
            "The rendezvous configuration option '***' must have a value specified."
        );
    }
}
