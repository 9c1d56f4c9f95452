//! In which coding a representation goes out (RFC 9110 §8.4, §12.5.3), and the compressing itself. Pure.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};

use crate::ground::explain::thousandths;

/// Of 11. From here on each step costs more than it saves: 100 kB of HTML take some 3 ms.
const BROTLI_QUALITY: i32 = 5;

/// The window, as a power of two: no text that is compressed here is longer, and the default would take 4 MB.
const BROTLI_WINDOW: i32 = 18;

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Brotli,
    Gzip,
}

impl Coding {
    /// Its name in headers.
    pub(super) fn name(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        })
    }

    /// What the name of a file has behind it that is in this coding.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Gzip => ".gz",
        }
    }

    /// `content` in this coding.
    pub(super) fn compress(self, content: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Brotli => {
                let parameters = brotli::enc::BrotliEncoderParams {
                    quality: BROTLI_QUALITY,
                    lgwin: BROTLI_WINDOW,
                    size_hint: content.len(),
                    ..Default::default()
                };
                let mut compressed = Vec::new();
                brotli::BrotliCompress(&mut &*content, &mut compressed, &parameters)?;
                Ok(compressed)
            }
            Self::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(content)?;
                encoder.finish()
            }
        }
    }
}

/// How much a client likes each form, in half thousandths; 0 is not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wish {
    brotli: u16,
    gzip: u16,
    /// As it is.
    identity: u16,
}

impl Wish {
    /// What the Accept-Encoding fields wish. Without them, what goes out is as it is: who does not ask, may not know.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let [mut brotli, mut gzip, mut identity, mut any] = [None; 4];
        let fields = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|field| field.to_str().ok());
        for item in fields.flat_map(|field| field.split(',')) {
            let mut parts = item.split(';').map(|part| part.trim_matches([' ', '\t']));
            let name = parts.next().unwrap_or_default();
            let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
            let weight = Some(quality.map_or(1_000, thousandths) * 2);
            match name.to_ascii_lowercase().as_str() {
                "br" => brotli = weight,
                "gzip" | "x-gzip" => gzip = weight,
                "identity" => identity = weight,
                "*" => any = weight,
                _ => {}
            }
        }
        Self {
            brotli: brotli.or(any).unwrap_or(0),
            gzip: gzip.or(any).unwrap_or(0),
            // Acceptable unless excluded, but less so than whatever is named.
            identity: identity.or(any).unwrap_or(1),
        }
    }

    /// The acceptable forms, the best first; nothing stands for identity. Of equals, the smallest is the best.
    pub(super) fn in_order(self) -> impl Iterator<Item = Option<Coding>> {
        let mut forms =
            [(self.brotli, Some(Coding::Brotli)), (self.gzip, Some(Coding::Gzip)), (self.identity, None)];
        forms.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
        forms.into_iter().filter(|(weight, _)| *weight > 0).map(|(_, form)| form)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(fields: &[&str]) -> String {
        let headers =
            fields.iter().map(|field| (ACCEPT_ENCODING, HeaderValue::from_str(field).unwrap())).collect();
        let forms = Wish::of(&headers).in_order().map(|form| match form {
            Some(Coding::Brotli) => "br",
            Some(Coding::Gzip) => "gzip",
            None => "identity",
        });
        forms.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_client_weighs_and_the_smallest_wins_among_equals() {
        for (fields, expected) in [
            (&[][..], "identity"),
            (&[""], "identity"),
            (&["gzip, deflate, br, zstd"], "br gzip identity"),
            (&["gzip", "br;q=0.5"], "gzip br identity"),
            (&["br;q=0.001"], "br identity"),
            (&["x-gzip"], "gzip identity"),
            (&["GZIP;Q=0.2 , identity;q=0.3"], "identity gzip"),
            (&["*"], "br gzip identity"),
            (&["*;q=0"], ""),
            (&["gzip, *;q=0"], "gzip"),
            (&["identity;q=0"], ""),
            (&["identity;q=0, *;q=0.1"], "br gzip"),
            (&["br;q=0, *"], "gzip identity"),
            (&["br;q=zero, gzip;q=1.001"], "gzip identity"),
            (&["br;q=2, zstd"], "identity"),
        ] {
            // RFC 9110 §12.4.2 has no 1.001; what is written so is read as the 1 that it begins with.
            assert_eq!(order(fields), expected, "{fields:?}");
        }
    }

    #[test]
    fn what_is_compressed_is_what_it_was() {
        let content = "<p>the same again and again</p>\n".repeat(100).into_bytes();
        let gzip = Coding::Gzip.compress(&content).unwrap();
        let brotli = Coding::Brotli.compress(&content).unwrap();
        assert!(gzip.len() < content.len() / 10 && brotli.len() < content.len() / 10);
        let mut read = Vec::new();
        io::copy(&mut flate2::read::GzDecoder::new(gzip.as_slice()), &mut read).unwrap();
        assert!(read == content);
        read.clear();
        brotli::BrotliDecompress(&mut brotli.as_slice(), &mut read).unwrap();
        assert!(read == content);
        assert_eq!(Coding::Gzip.compress(&content).unwrap(), gzip, "the same content, the same tag");
    }
}
