//! The built-in lab is part of the executable: build again when one of its files changes.

fn main() {
    for part in ["zones", "site", "app", "lab.toml"] {
        println!("cargo::rerun-if-changed={part}");
    }
}
