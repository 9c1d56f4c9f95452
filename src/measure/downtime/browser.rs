//! One user who asks for a page by HTTP/1.1, one request after the other, as browsers do: over a connection that is kept, and
//! once more over a new one where that was closed before a word of an answer (RFC 9112 §9.3.1).
//!
//! By HTTPS every second request is a stranger's, who shakes hands anew: a connection that is kept goes on with the certificate
//! that it began with, so only strangers meet another one. No session is resumed, since then no certificate is shown either.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{CONNECTION, HOST, HeaderValue, USER_AGENT};
use tokio::net::TcpStream;

use super::prober::{ProbeError, of};
use super::{Sealed, Symptom};
use crate::measure::line::{Broken, Line};
use crate::path::asking::{self, Trouble, Trust};

/// What is asked for, checked.
#[derive(Debug)]
pub(super) struct Page {
    site: String,
    host: HeaderValue,
    path: String,
    trust: Option<Trust>,
}

impl Page {
    /// The page at `path` of `site`, by HTTPS where somebody is to be trusted for that.
    pub(super) fn new(site: &str, path: &str, trust: Option<Trust>) -> Result<Self, ProbeError> {
        let unaskable = |what: &str| ProbeError::Unaskable { what: what.to_owned() };
        let host = HeaderValue::try_from(site).map_err(|_| unaskable(site))?;
        let page = Self { site: site.into(), host, path: path.into(), trust };
        if !path.starts_with('/') || page.request(false).is_err() {
            return Err(unaskable(path));
        }
        Ok(page)
    }

    /// Whether the request with this number is a stranger's.
    pub(super) fn is_strangers(&self, number: u64) -> bool {
        self.trust.is_some() && number % 2 == 1
    }

    fn request(&self, is_last: bool) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let request = Request::builder().uri(&self.path).header(HOST, &self.host);
        let request = request.header(USER_AGENT, "wwwlab-measure");
        let request = if is_last { request.header(CONNECTION, "close") } else { request };
        request.body(Full::default())
    }
}

/// A user.
#[derive(Debug, Default)]
pub(super) struct Browser {
    kept: Option<Open>,
    /// In what the request that was asked last was sealed, as far as it came.
    pub(super) sealed: Option<Sealed>,
}

#[derive(Debug)]
struct Open {
    line: Line,
    /// Of the certificate that it began with.
    serial: Option<Arc<str>>,
}

impl Browser {
    /// Asks `server` for `page`: over the connection that is kept, if it is still open; a stranger over a new one, which ends
    /// with the answer. `micros` says how late it is.
    pub(super) async fn ask(
        &mut self,
        server: SocketAddr,
        page: &Page,
        is_stranger: bool,
        micros: impl Fn() -> u64,
    ) -> Result<(), Symptom> {
        self.sealed = None;
        // Taken: the answer to a request that is given up in the middle may still come, and would be taken for the next one's.
        if !is_stranger
            && let Some(mut kept) = self.kept.take()
            && kept.line.is_open().await
        {
            self.sealed = kept.serial.clone().map(|serial| Sealed { serial, shaken_micros: None });
            match exchange(page, false, &mut kept.line).await {
                Err(Broken { trouble: Trouble::Reset | Trouble::Closed, was_heard: false }) => {}
                came => {
                    self.kept = Some(kept);
                    return judged(came);
                }
            }
            self.sealed = None;
        }
        let mut open = self.open(server, page, micros).await?;
        let came = exchange(page, is_stranger, &mut open.line).await;
        if !is_stranger {
            self.kept = Some(open);
        }
        judged(came)
    }

    async fn open(
        &mut self,
        server: SocketAddr,
        page: &Page,
        micros: impl Fn() -> u64,
    ) -> Result<Open, Symptom> {
        let shaken_micros = micros();
        let stream = connect(server).await.map_err(|error| of(&error))?;
        let Some(trust) = &page.trust else {
            return Ok(Open { line: Line::over(stream).await?, serial: None });
        };
        let (stream, serial) = asking::seal(stream, &page.site, trust).await?;
        let serial: Arc<str> = serial.into();
        self.sealed = Some(Sealed { serial: serial.clone(), shaken_micros: Some(shaken_micros) });
        Ok(Open { line: Line::over(stream).await?, serial: Some(serial) })
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn exchange(page: &Page, is_last: bool, line: &mut Line) -> Result<u16, Broken> {
    let unasked = |error: hyper::http::Error| Broken {
        trouble: Trouble::Malformed(error.to_string()),
        was_heard: false,
    };
    line.ask(page.request(is_last).map_err(unasked)?).await
}

fn judged(came: Result<u16, Broken>) -> Result<(), Symptom> {
    match came {
        Ok(..400) => Ok(()),
        Ok(status) => Err(Symptom::Status(status)),
        Err(broken) => Err(broken.trouble.into()),
    }
}
