//! Reads the versions of quinn-proto and rustls from Cargo.lock, for `version()`.

use std::{env, fs, path::Path};

fn main() {
    println!("cargo:rerun-if-changed=Cargo.lock");
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let lock = fs::read_to_string(Path::new(&root).join("Cargo.lock")).unwrap_or_default();
    for (package, variable) in [("quinn-proto", "QUINN_PROTO_VERSION"), ("rustls", "RUSTLS_VERSION")] {
        let entry = format!("name = \"{package}\"\nversion = \"");
        let version = lock.split(&entry).nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("unknown");
        println!("cargo:rustc-env={variable}={version}");
    }
}
