//! What is wrong on purpose with an answer: one in its place, one that comes late, one that comes slowly or not to its end.
//!
//! It stands apart from `answer`, which tells how a server works that is well. What comes in an answer's place looks as it would
//! from any server with that trouble: who has laid a fault for others to find does not want it to say its name.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::{Response, StatusCode};
use tokio::time::{Sleep, sleep};

use super::failure::Failure;
use super::page::{Page, PageError};
use crate::ground::fault::{self, HttpWrong, Laid, Wrong};
use crate::services::faults::Active;

/// A slow body comes in pieces with this between them.
const BETWEEN: Duration = Duration::from_millis(100);
const PIECES_A_SECOND: u64 = 10;

/// What strikes the answer to a request for `path`.
pub(super) fn strikes(active: &Active, path: &str) -> Vec<HttpWrong> {
    let concerns = |laid: &Laid| match laid.wrong {
        Wrong::Http(_) => laid.only.as_ref().is_none_or(|only| path.starts_with(only.as_str())),
        Wrong::Dns(_) | Wrong::Database(_) | Wrong::Edge { .. } => false,
    };
    let struck = active.strike(concerns).into_iter();
    struck.filter_map(|wrong| if let Wrong::Http(wrong) = wrong { Some(wrong) } else { None }).collect()
}

/// Waits as long as the first byte is to come later.
pub(super) async fn hold_back(struck: &[HttpWrong]) {
    for wrong in struck {
        if let HttpWrong::SlowFirstByte { millis } = wrong {
            sleep(fault::wait(*millis)).await;
        }
    }
}

/// What is answered in place of what was asked for, if anything is. `scheme`, `host` and `target` are as they were asked for,
/// `site` is the name of the first site.
pub(super) fn instead(
    struck: &[HttpWrong],
    scheme: &str,
    host: &str,
    target: &str,
    site: &str,
) -> Option<Result<Response<Page>, Failure>> {
    struck.iter().find_map(|wrong| match wrong {
        HttpWrong::InternalError => {
            Some(Ok(plain(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error\n")))
        }
        HttpWrong::RedirectLoop => {
            let mut response = plain(StatusCode::FOUND, "Found\n");
            // As the request came: whoever follows asks the same again.
            let location = HeaderValue::try_from(format!("{scheme}://{host}{target}")).ok()?;
            response.headers_mut().insert(LOCATION, location);
            Some(Ok(response))
        }
        // One letter too many in the settings.
        HttpWrong::WrongHost => {
            Some(Err(Failure::HostUnknown { asked: host.to_owned(), sites: format!("w{site}") }))
        }
        HttpWrong::SlowFirstByte { .. } | HttpWrong::SlowBody { .. } | HttpWrong::TruncatedBody => None,
    })
}

fn plain(status: StatusCode, text: &'static str) -> Response<Page> {
    let mut response = Response::new(Page::whole(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// `page`, as it goes out when `struck`.
pub(super) fn body(struck: &[HttpWrong], page: Page) -> Page {
    let cuts = struck.contains(&HttpWrong::TruncatedBody);
    let rate = struck.iter().filter_map(|wrong| match wrong {
        HttpWrong::SlowBody { bytes_per_second } => Some(*bytes_per_second),
        _ => None,
    });
    let rate = rate.min();
    if !cuts && rate.is_none() || page.is_end_stream() || matches!(page, Page::Tunnel(_)) {
        return page;
    }
    let left = page.size_hint().exact().filter(|_| cuts).map(|bytes| bytes / 2);
    let piece = rate.map(|rate| usize::try_from(rate / PIECES_A_SECOND).unwrap_or(usize::MAX).max(1));
    let pause = (left == Some(0)).then(|| Box::pin(sleep(BETWEEN)));
    Page::Spoilt(Box::new(Spoilt { page, cuts, left, piece, waiting: Bytes::new(), pause }))
}

/// A body that comes slowly, or not to its end.
#[derive(Debug)]
pub(super) struct Spoilt {
    page: Page,
    /// Whether it breaks off.
    cuts: bool,
    /// So many bytes come before; nothing where that is decided by the first that come.
    left: Option<u64>,
    /// The longest piece, where it comes slowly.
    piece: Option<usize>,
    /// What is there and has not gone out.
    waiting: Bytes,
    /// Runs after a piece, and before it breaks off.
    pause: Option<Pin<Box<Sleep>>>,
}

impl Spoilt {
    pub(super) fn page(&self) -> &Page {
        &self.page
    }

    pub(super) fn is_end(&self) -> bool {
        self.waiting.is_empty() && self.left != Some(0) && self.page.is_end_stream()
    }

    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, PageError>>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        if self.left == Some(0) {
            return Poll::Ready(Some(Err(PageError::BrokenOff)));
        }
        while self.waiting.is_empty() {
            match ready!(Pin::new(&mut self.page).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => self.waiting = bytes,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                end => return Poll::Ready(end),
            }
        }
        if self.cuts && self.left.is_none() {
            self.left = Some((self.waiting.len() as u64 / 2).max(1));
        }
        let most = self.left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
        let most = most.min(self.piece.unwrap_or(usize::MAX)).min(self.waiting.len());
        let bytes = self.waiting.split_to(most);
        self.left = self.left.map(|left| left.saturating_sub(bytes.len() as u64));
        // Before it breaks off, too: what came is to go out.
        if self.piece.is_some() || self.left == Some(0) {
            self.pause = Some(Box::pin(sleep(BETWEEN)));
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn pieces(mut page: Page) -> (Vec<usize>, bool) {
        let (mut sizes, mut whole) = (Vec::new(), true);
        while let Some(frame) = page.frame().await {
            match frame {
                Ok(frame) => sizes.extend(frame.data_ref().map(|bytes| bytes.len())),
                Err(_) => {
                    whole = false;
                    break;
                }
            }
        }
        (sizes, whole)
    }

    #[tokio::test]
    async fn a_body_breaks_off_in_its_middle_and_says_its_whole_length() {
        let page = body(&[HttpWrong::TruncatedBody], Page::whole("0123456789"));
        assert_eq!(page.size_hint().exact(), Some(10));
        assert_eq!(pieces(page).await, (vec![5], false));
        let one = body(&[HttpWrong::TruncatedBody], Page::whole("0"));
        assert!(!one.is_end_stream());
        assert_eq!(pieces(one).await, (vec![], false));
    }

    #[tokio::test]
    async fn a_slow_body_comes_whole_in_pieces() {
        let page = body(&[HttpWrong::SlowBody { bytes_per_second: 40 }], Page::whole("0123456789"));
        assert_eq!(pieces(page).await, (vec![4, 4, 2], true));
    }

    #[tokio::test]
    async fn what_has_no_body_and_what_is_not_struck_stays_as_it_is() {
        assert!(matches!(body(&[HttpWrong::TruncatedBody], Page::empty()), Page::Whole(None)));
        assert!(matches!(body(&[HttpWrong::InternalError], Page::whole("x")), Page::Whole(Some(_))));
    }

    #[test]
    fn each_fault_has_its_answer() {
        let over = |scheme, wrong| instead(&[wrong], scheme, "www.foobar.com", "/a?b", "www.foobar.com");
        for scheme in ["http", "https"] {
            let looped = over(scheme, HttpWrong::RedirectLoop).unwrap().unwrap();
            assert_eq!(looped.headers()[LOCATION], format!("{scheme}://www.foobar.com/a?b"));
        }
        let answer = |wrong| over("http", wrong);
        assert_eq!(answer(HttpWrong::InternalError).unwrap().unwrap().status(), 500);
        let Err(unknown) = answer(HttpWrong::WrongHost).unwrap() else { panic!("a host that is unknown") };
        assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
        assert!(answer(HttpWrong::TruncatedBody).is_none());
    }
}
