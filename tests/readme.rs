//! The README's table of options is the library's. `RDZV_BLESS=1 cargo test --test readme` writes it anew.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::path::PathBuf;
use std::{env, fs};

use rdzv::params::OPTIONS;

const HEAD: &str = "| option | values | default | meaning |\n|---|---|---|---|\n";

fn table() -> String {
    let rows = OPTIONS.iter().map(|option| {
        let default = option.default.map_or_else(|| "none".to_owned(), |default| format!("`{default}`"));
        format!("| `{}` | {} | {default} | {} |\n", option.name, option.kind, option.doc)
    });
    rows.collect()
}

#[test]
fn the_table_of_options_is_current() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(HEAD).unwrap();
    let (rows, after) = rest.split_once("\n\n").unwrap();
    let rows = format!("{rows}\n");
    if env::var_os("RDZV_BLESS").is_some() && rows != table() {
        fs::write(&path, format!("{before}{HEAD}{}\n{after}", table())).unwrap();
        return;
    }
    assert!(rows == table(), "README.md is stale: run RDZV_BLESS=1 cargo test --test readme");
}

#[test]
fn the_readme_is_short() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("README.md");
    assert!(fs::read_to_string(path).unwrap().lines().count() <= 200);
}
