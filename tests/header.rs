//! `include/rdzv.h` is what cbindgen makes of `src/ffi`. `RDZV_BLESS=1 cargo test --test header` writes it anew.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The modules whose public items make up the C ABI, in the order of the header.
const MODULES: [&str; 11] =
    ["version", "status", "errors", "bytes", "params", "backend", "store", "store_many", "handler", "server", "log"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn generate(root: &Path) -> Result<String, Box<dyn Error>> {
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml"))?;
    let mut builder = cbindgen::Builder::new().with_config(config);
    for module in MODULES {
        builder = builder.with_src(root.join(format!("src/ffi/{module}.rs")));
    }
    let mut header = Vec::new();
    builder.generate()?.write(&mut header);
    Ok(String::from_utf8(header)?)
}

#[test]
fn the_header_is_current() {
    let root = root();
    let (path, fresh) = (root.join("include/rdzv.h"), generate(&root).unwrap());
    if env::var_os("RDZV_BLESS").is_some() {
        fs::write(&path, &fresh).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == fresh, "include/rdzv.h is stale: run RDZV_BLESS=1 cargo test --test header");
}

#[test]
fn every_public_module_is_in_it() {
    let source = fs::read_to_string(root().join("src/ffi/mod.rs")).unwrap();
    let public = source.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let mut public: Vec<_> = public.collect();
    let mut listed = MODULES.to_vec();
    public.sort_unstable();
    listed.sort_unstable();
    assert_eq!(public, listed);
}
