//! The configuration string and every option in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rdzv::params::{OPTIONS, Params};

fuzz_target!(|text: &str| {
    let mut params = Params::new("fuzz", "", "run", 1, 1).unwrap();
    let set = params.set_config(text);
    if params.get("password").is_some() {
        let shown = format!("{params:?}");
        let mut other = params.clone();
        other.set("password", "another").unwrap();
        assert_eq!(shown, format!("{other:?}"), "what is shown does not depend on the password");
    }
    for option in OPTIONS {
        let value = params.get(option.name);
        assert!(set.is_ok() || value.is_none(), "set whole or not at all");
        _ = (params.get_as_int(option.name), params.get_as_bool(option.name));
    }
    _ = params.settings();
});
