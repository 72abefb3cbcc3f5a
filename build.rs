//! Sets the soname of the shared library, and nothing else.

/// Bumped only when the C ABI breaks; additions never bump it.
const ABI: u32 = 0;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,librdzv.so.{ABI}");
}
