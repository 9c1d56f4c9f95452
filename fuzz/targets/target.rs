//! Any path of a target names a place in the site, or none: never one outside, never a dotfile.

#![no_main]

use std::ffi::OsStr;
use std::path::{Component, Path};

use libfuzzer_sys::fuzz_target;
use percent_encoding::percent_decode_str;
use wwwlab_fuzz::services::web::named;

fuzz_target!(|path: &str| {
    let Some(place) = named(path) else { return };
    let names: Vec<&OsStr> = place
        .components()
        .map(|component| match component {
            Component::Normal(name) => name,
            other => panic!("{other:?} in {place:?}"),
        })
        .collect();
    assert!(!names.is_empty());
    for (depth, name) in names.iter().enumerate() {
        let name = name.to_str().expect("a name that was UTF-8");
        assert!(!name.contains(['\0', '\\', '/']), "{name:?}");
        assert!(!name.starts_with('.') || (depth == 0 && name == ".well-known"), "{name:?}");
    }
    // It is the place that was asked for: decoded once, and only once.
    let decoded = percent_decode_str(path).decode_utf8().expect("a path of UTF-8 names");
    assert_eq!(place.as_os_str(), decoded.trim_matches('/'));
    assert_eq!(Path::new("/site").join(&place), Path::new(&format!("/site/{}", decoded.trim_matches('/'))));
});
