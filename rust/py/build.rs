//! Tells `build_info()` what the extension was built with: the compiler, and PyO3 as locked.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

fn main() {
    // Whether the interpreter has a lock of its own: `guarded` asks.
    pyo3_build_config::use_pyo3_cfgs();
    let lock = Path::new(&env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../../Cargo.lock");
    println!("cargo::rerun-if-changed={}", lock.display());
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=CNSTRA_PYO3={}", locked_version(&lock, "pyo3").unwrap_or_else(|| "unknown".into()));
    println!("cargo::rustc-env=CNSTRA_RUSTC={}", compiler().unwrap_or_else(|| "unknown".into()));
}

/// The version of `package` in a lock file, where the line after a package's name has it.
fn locked_version(lock: &Path, package: &str) -> Option<String> {
    let text = fs::read_to_string(lock).ok()?;
    let name = format!("name = \"{package}\"");
    let line = text.lines().skip_while(|line| *line != name).nth(1)?;
    Some(line.strip_prefix("version = \"")?.strip_suffix('"')?.to_owned())
}

/// Such as `1.88.0`: the second word of what `rustc --version` prints.
fn compiler() -> Option<String> {
    let output = Command::new(env::var_os("RUSTC")?).arg("--version").output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.split_whitespace().nth(1)?.to_owned())
}
