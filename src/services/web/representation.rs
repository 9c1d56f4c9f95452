//! Which form of a file a client gets (RFC 9110 §12), and what of it: the answer of a file.
//!
//! In this order: the form is chosen, the conditions are held against its validators, the ranges are cut from it.

use std::io;

use hyper::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, LAST_MODIFIED, VARY,
};
use hyper::{Method, Response, StatusCode};

use crate::ground::chance::RequestId;
use crate::ground::clock;

use super::coding::{Coding, Wish};
use super::conditional::{Validators, Verdict};
use super::failure::Failure;
use super::media::Media;
use super::page::Page;
use super::pieces::{Part, Pieces, Source, slice};
use super::range::{Asked, Span, asked};
use super::site::{Content, Site, SiteFile};

/// Header fields that the answer of a file has, about.
const HEADERS: usize = 20;

/// A file in the form that goes out.
#[derive(Debug)]
pub(super) struct Representation {
    source: Source,
    bytes: u64,
    validators: Validators,
    media: Media,
    coding: Option<Coding>,
}

impl Representation {
    /// The form of `file` that these headers like best; nothing where they refuse all that there are.
    pub(super) fn choose(site: &Site, file: SiteFile, headers: &HeaderMap) -> io::Result<Option<Self>> {
        let media = match &file.content {
            Content::Small(small) => small.media.clone(),
            Content::Large { .. } => Media::of(&file.place),
        };
        let wish = Wish::of(headers);
        for form in wish.in_order() {
            let Some(coding) = form else {
                return Ok(Some(Self::of(file.content, media, None)));
            };
            if !media.is_compressible {
                continue;
            }
            if let Some(sibling) = site.sibling(&file, coding)? {
                return Ok(Some(Self::of(sibling, media, Some(coding))));
            }
            if let Content::Small(small) = &file.content
                && let Some(compressed) = small.compressed(coding)
            {
                return Ok(Some(Self {
                    bytes: compressed.content.len() as u64,
                    source: Source::Memory(compressed.content.clone()),
                    validators: compressed.validators.clone(),
                    media,
                    coding: Some(coding),
                }));
            }
        }
        Ok(None)
    }

    /// `content` as it is, which is in `coding` already if it has one.
    fn of(content: Content, media: Media, coding: Option<Coding>) -> Self {
        match content {
            Content::Small(small) => Self {
                bytes: small.content.len() as u64,
                source: Source::Memory(small.content.clone()),
                validators: small.validators.clone(),
                media,
                coding,
            },
            Content::Large { file, version } => {
                let is_weak = version.is_young(clock::unix_millis());
                let tag = format!("{}{}", version.tag(), coding.map_or("", Coding::suffix));
                Self {
                    bytes: version.bytes,
                    validators: Validators::new(&tag, is_weak, version.modified()),
                    source: Source::File(file, version),
                    media,
                    coding,
                }
            }
        }
    }

    /// The answer to a GET or HEAD with these headers.
    pub(super) fn response(self, method: &Method, asking: &HeaderMap) -> Result<Response<Page>, Failure> {
        let verdict = self.validators.verdict(asking);
        if let Verdict::Fails(condition) = verdict {
            return Err(Failure::ConditionFails { condition });
        }
        let mut response = Response::new(Page::empty());
        // Room for all that are added on the way out.
        *response.headers_mut() = HeaderMap::with_capacity(HEADERS);
        let headers = response.headers_mut();
        headers.insert(ETAG, self.validators.etag.clone());
        if let Some((modified, _)) = &self.validators.last_modified {
            headers.insert(LAST_MODIFIED, modified.clone());
        }
        // May be kept, but must be asked about: a student who saves a page sees it at the next reload.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if self.media.is_compressible {
            headers.insert(VARY, HeaderValue::from(ACCEPT_ENCODING));
        }
        if verdict == Verdict::NotModified {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return Ok(response);
        }
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        if let Some(coding) = self.coding {
            headers.insert(CONTENT_ENCODING, coding.name());
        }
        // Ranges are defined for GET alone (§14.2).
        let asked = match *method {
            Method::GET if self.validators.allow_ranges(asking, clock::system_time()) => {
                asked(asking, self.bytes)
            }
            _ => Asked::Whole,
        };
        match asked {
            Asked::Nothing => Err(Failure::RangeAbsent { bytes: self.bytes }),
            Asked::Whole => Ok(self.whole(response)),
            Asked::Spans(spans) => Ok(self.parts(spans, response)),
        }
    }

    fn whole(self, mut response: Response<Page>) -> Response<Page> {
        let headers = response.headers_mut();
        headers.insert(CONTENT_LENGTH, HeaderValue::from(self.bytes));
        headers.insert(CONTENT_TYPE, self.media.header);
        *response.body_mut() = match self.source {
            _ if self.bytes == 0 => Page::empty(),
            Source::Memory(content) => Page::whole(content),
            file => Page::Pieces(Pieces::new(file, vec![Part::Span(Span { from: 0, to: self.bytes })])),
        };
        response
    }

    /// One range as it is, several as `multipart/byteranges` (§14.6).
    fn parts(self, spans: Vec<Span>, mut response: Response<Page>) -> Response<Page> {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let headers = response.headers_mut();
        let parts = if let [span] = *spans.as_slice() {
            headers.insert(CONTENT_TYPE, self.media.header);
            if let Ok(range) = HeaderValue::try_from(content_range(span, self.bytes)) {
                headers.insert(CONTENT_RANGE, range);
            }
            if let Source::Memory(content) = &self.source
                && let Some(content) = slice(content, span)
            {
                headers.insert(CONTENT_LENGTH, HeaderValue::from(span.bytes()));
                *response.body_mut() = Page::whole(content);
                return response;
            }
            vec![Part::Span(span)]
        } else {
            // Drawn, so that no content can have it in it by design.
            let boundary = RequestId::draw();
            if let Ok(multipart) = HeaderValue::try_from(format!("multipart/byteranges; boundary={boundary}"))
            {
                headers.insert(CONTENT_TYPE, multipart);
            }
            self.with_boundaries(&spans, boundary.as_str())
        };
        let pieces = Pieces::new(self.source, parts);
        headers.insert(CONTENT_LENGTH, HeaderValue::from(pieces.left()));
        *response.body_mut() = Page::Pieces(pieces);
        response
    }

    fn with_boundaries(&self, spans: &[Span], boundary: &str) -> Vec<Part> {
        let media = self.media.header.to_str().unwrap_or_default();
        let mut parts = Vec::with_capacity(spans.len() * 2 + 1);
        for &span in spans {
            let range = content_range(span, self.bytes);
            let text = format!("\r\n--{boundary}\r\nContent-Type: {media}\r\nContent-Range: {range}\r\n\r\n");
            parts.extend([Part::Text(text.into()), Part::Span(span)]);
        }
        parts.push(Part::Text(format!("\r\n--{boundary}--\r\n").into()));
        parts
    }
}

/// `bytes 0-499/1234`
fn content_range(span: Span, of: u64) -> String {
    format!("bytes {}-{}/{of}", span.from, span.to.saturating_sub(1))
}
