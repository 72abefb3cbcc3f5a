//! The endpoint grammar: what is accepted is shown as something that means the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rdzv::params::Params;

fuzz_target!(|text: &str| {
    let Ok(params) = Params::new("fuzz", text, "run", 1, 1) else { return };
    _ = format!("{params:?}");
    let Ok(settings) = params.settings() else { return };
    assert!(!settings.endpoints.is_empty());
    for endpoint in &settings.endpoints {
        let again = Params::new("fuzz", &endpoint.to_string(), "run", 1, 1).unwrap().settings().unwrap();
        assert_eq!(again.endpoints, [endpoint.clone()]);
    }
});
