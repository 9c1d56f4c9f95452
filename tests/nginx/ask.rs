//! One request on a connection of its own, and the answer as it came.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// No answer takes this long unless something is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request. In a header's value, `{etag}` is what the server that is asked says of this target in this coding.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) target: String,
    pub(crate) headers: Vec<(&'static str, String)>,
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// Asks `server` for this.
    pub(crate) fn ask(&self, server: SocketAddr) -> Answer {
        let mut request = self.clone();
        if self.headers.iter().any(|(_, value)| value.contains("{etag}")) {
            let headers =
                self.headers.iter().filter(|(name, _)| *name == "Accept-Encoding").cloned().collect();
            let plain = Self { method: "GET", target: self.target.clone(), headers };
            let etag = plain.send(server).header("etag").unwrap_or("\"none\"").to_owned();
            for (_, value) in &mut request.headers {
                *value = value.replace("{etag}", &etag);
            }
        }
        request.send(server)
    }

    fn send(&self, server: SocketAddr) -> Answer {
        let mut stream = TcpStream::connect(server).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
            .write_all(format!("{self}Host: www.foobar.com\r\nConnection: close\r\n\r\n").as_bytes())
            .unwrap();
        // A client that has said all may say so.
        if self.target.len().is_multiple_of(4) {
            stream.shutdown(Shutdown::Write).unwrap();
        }
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap_or_else(|error| panic!("{error}: {self}"));
        Answer::parse(&answer).unwrap_or_else(|| panic!("{self}\n{}", String::from_utf8_lossy(&answer)))
    }
}

impl Answer {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let mut lines = std::str::from_utf8(&bytes[..end]).ok()?.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        let headers = lines.map(header).collect::<Option<Vec<_>>>()?;
        Some(Self { status, headers, body: bytes[end + 4..].to_vec() })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The parts of a multipart, each as its head and its content; nothing where this is none.
    pub(crate) fn parts(&self) -> Option<Vec<String>> {
        let boundary = self.header("content-type")?.strip_prefix("multipart/byteranges; boundary=")?;
        let text = String::from_utf8_lossy(&self.body);
        let text = text.strip_suffix(&format!("\r\n--{boundary}--\r\n"))?;
        let between = format!("\r\n--{boundary}\r\n");
        let parts = text.split(&between).skip(1);
        Some(parts.map(str::to_owned).collect())
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} HTTP/1.1\r\n", self.method, self.target)?;
        self.headers.iter().try_for_each(|(name, value)| write!(f, "{name}: {value}\r\n"))
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        self.headers.iter().try_for_each(|(name, value)| write!(f, "\n      {name}: {value}"))?;
        let start = self.body.get(..self.body.len().min(60)).unwrap_or_default();
        write!(f, "\n      {} bytes: {:?}", self.body.len(), String::from_utf8_lossy(start))
    }
}
