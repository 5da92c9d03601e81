//! On macOS a module must be told that it finds the interpreter's symbols when it is loaded.

fn main() {
    pyo3_build_config::add_extension_module_link_args();
}
