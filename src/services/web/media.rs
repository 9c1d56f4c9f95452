//! What a file's name tells of its content: the media type (RFC 9110 §8.3), and whether compressing it is of use.

use std::path::Path;

use hyper::header::HeaderValue;
use mime_guess::mime::{self, Mime};

/// Applications and images that are text, or as good as text, to a compressor.
const COMPRESSIBLE: [(&str, &str); 10] = [
    ("application", "javascript"),
    ("application", "json"),
    ("application", "rtf"),
    ("application", "vnd.ms-fontobject"),
    ("application", "wasm"),
    ("application", "xml"),
    ("font", "otf"),
    ("font", "ttf"),
    ("image", "bmp"),
    ("image", "x-icon"),
];

/// A media type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Media {
    /// As it is said.
    pub(super) header: HeaderValue,
    /// Whether such files get smaller by much; pictures, films and archives are compressed already.
    pub(super) is_compressible: bool,
}

impl Media {
    /// Of a file called `path`; text with its character set, which for this site is UTF-8.
    pub(super) fn of(path: &Path) -> Self {
        let guess = mime_guess::from_path(path).first_or_octet_stream();
        let with_charset = if is_text(&guess) {
            format!("{}; charset=utf-8", guess.essence_str())
        } else {
            guess.essence_str().to_owned()
        };
        Self {
            header: HeaderValue::try_from(with_charset)
                .unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream")),
            is_compressible: is_text(&guess)
                || guess.suffix() == Some(mime::JSON)
                || COMPRESSIBLE.contains(&(guess.type_().as_str(), guess.subtype().as_str())),
        }
    }
}

fn is_text(guess: &Mime) -> bool {
    guess.type_() == mime::TEXT
        || guess.subtype() == mime::JAVASCRIPT
        || guess.subtype() == mime::XML
        || guess.suffix() == Some(mime::XML)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_says_its_character_set() {
        let of = |name| Media::of(Path::new(name)).header.to_str().unwrap().to_owned();
        assert_eq!(of("a.html"), "text/html; charset=utf-8");
        assert_eq!(of("a.css"), "text/css; charset=utf-8");
        assert_eq!(of("a.js"), "text/javascript; charset=utf-8");
        assert_eq!(of("a.svg"), "image/svg+xml; charset=utf-8");
        assert_eq!(of("a.txt"), "text/plain; charset=utf-8");
        assert_eq!(of("a.png"), "image/png");
        assert_eq!(of("a"), "application/octet-stream");
    }

    #[test]
    fn what_is_compressed_already_is_left_alone() {
        let of = |name: &str| Media::of(Path::new(name)).is_compressible;
        for name in
            ["a.html", "a.css", "a.js", "a.json", "a.svg", "a.wasm", "a.ttf", "a.webmanifest", "a.ico"]
        {
            assert!(of(name), "{name}");
        }
        for name in ["a.png", "a.jpg", "a.mp4", "a.zip", "a.woff2", "a.gz", "a.br", "a", "a.pdf"] {
            assert!(!of(name), "{name}");
        }
    }
}
