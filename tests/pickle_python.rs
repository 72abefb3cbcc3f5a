//! The codec against real Python: states that Python pickled come back equal, and no larger, after a load and a dump.
//!
//! Needs `/usr/bin/python3`. With torch in it (Debian: `python3-torch`), the states are of torch's own classes; with
//! `RDZV_REQUIRE_TORCH=1` a missing torch is a failure. The other dialects are made of stub classes of their shape.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this is a test, its helpers included")]

use std::path::Path;
use std::process::{Command, Output};

use rdzv::handler::pickle::{Dialect, decode, encode};

const PYTHON: &str = "/usr/bin/python3";

fn oracle(arguments: &[&str]) -> Option<Output> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pickle_oracle.py");
    Command::new(PYTHON).arg(script).args(arguments).output().ok()
}

/// Whether there is a torch in Python; says so where there is none.
fn has_torch() -> bool {
    let output = oracle(&["version"]);
    if let Some(output) = output.filter(|output| output.status.success()) {
        println!("torch {} in {PYTHON}", String::from_utf8_lossy(&output.stdout).trim());
        return true;
    }
    assert!(
        std::env::var_os("RDZV_REQUIRE_TORCH").is_none_or(|value| value != "1"),
        "RDZV_REQUIRE_TORCH=1, and {PYTHON} has no torch"
    );
    eprintln!("SKIPPED: {PYTHON} has no torch, so torch's own states were not tried (apt-get install python3-torch)");
    false
}

/// Lets Python make states of `which` classes, loads and dumps them, and lets Python judge.
fn round_trip(which: &str, expected: Option<Dialect>) {
    let directory = std::env::temp_dir().join(format!("rdzv-pickle-{which}-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.to_str().unwrap();
    let Some(made) = oracle(&["make", which, path]) else {
        eprintln!("SKIPPED: there is no {PYTHON}");
        return;
    };
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    add_stored_samples(expected, &directory);
    for entry in std::fs::read_dir(&directory).unwrap() {
        rewrite(&entry.unwrap().path(), expected);
    }
    let judged = oracle(&["judge", which, path]).unwrap();
    print!("{}", String::from_utf8_lossy(&judged.stdout));
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stderr));
    std::fs::remove_dir_all(&directory).unwrap();
}

/// Adds the samples of tests/pickle/, which real PyTorch versions wrote, to the states in `directory`.
fn add_stored_samples(dialect: Option<Dialect>, directory: &Path) {
    let versions: &[&str] = match dialect {
        Some(Dialect::TORCH_2_0) => &["2.0.1"],
        Some(Dialect::TORCH_2_4) => &["2.4.1"],
        Some(Dialect::TORCH_2_6) => &["2.6.0", "2.14.1"],
        _ => &[],
    };
    for version in versions {
        for name in ["left", "first", "last-call", "complete", "busy"] {
            let sample = format!("{}/tests/pickle/{version}-{name}.bin", env!("CARGO_MANIFEST_DIR"));
            std::fs::copy(sample, directory.join(format!("sample-{version}-{name}.in"))).unwrap();
        }
    }
}

fn rewrite(path: &Path, expected: Option<Dialect>) {
    let bytes = std::fs::read(path).unwrap();
    let usual = expected.unwrap_or(Dialect::TORCH_1_13);
    let (state, dialect) = decode(&bytes, usual).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if let Some(expected) = expected {
        assert_eq!(dialect, expected, "{}", path.display());
    }
    let written = encode(&state, dialect);
    assert_eq!(decode(&written, usual).unwrap(), (state, dialect), "{}", path.display());
    std::fs::write(path.with_extension("out"), written).unwrap();
}

#[test]
fn states_of_the_installed_torch() {
    if has_torch() {
        round_trip("torch", None);
    }
}

#[test]
fn states_shaped_like_torch_1_13() {
    round_trip("1.13", Some(Dialect::TORCH_1_13));
}

#[test]
fn states_shaped_like_torch_2_0() {
    round_trip("2.0", Some(Dialect::TORCH_2_0));
}

#[test]
fn states_shaped_like_torch_2_4() {
    round_trip("2.4", Some(Dialect::TORCH_2_4));
}

#[test]
fn states_shaped_like_torch_2_6() {
    round_trip("2.6", Some(Dialect::TORCH_2_6));
}
