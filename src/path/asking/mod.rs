//! The request itself, made as any client makes it: a name looked up over UDP, a TCP connection, for `https://` a TLS
//! handshake, an HTTP request.
//!
//! Nothing of the lab's is used on the way but its addresses, so that what is measured is what a stranger would meet. Each
//! part has its limit in time and size; what goes wrong ends the asking and is kept as it was seen, for
//! [`super::symptoms`] to explain.

mod connect;
mod exchange;
mod handshake;
mod lookup;
mod target;

use std::io;
use std::net::{IpAddr, SocketAddr};

pub use connect::Connected;
pub use exchange::trouble as trouble_of_http;
pub use handshake::Trust;
pub use lookup::{Answered, Lookup, look_up};
pub use target::{Target, TargetError};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::model::{Exchange, Tls};
use crate::ground::chance::RequestId;
use crate::ground::clock::{self, Stopwatch};

/// What is to be asked for, and where the lab is.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The page.
    pub target: Target,
    /// The resolver.
    pub resolver: SocketAddr,
    /// The address from which the client asks.
    pub client: IpAddr,
    /// Who is believed, where the page is asked for by HTTPS.
    pub trust: Trust,
}

/// What was seen of one request.
#[derive(Debug)]
pub struct Seen {
    /// What was asked for.
    pub target: Target,
    /// When it began, milliseconds since the Unix epoch.
    pub began: u64,
    /// The trace that it was sent under, 32 digits.
    pub trace: String,
    /// The name's look-up; nothing where the URL has an address.
    pub lookup: Option<Lookup>,
    /// The connection; nothing if it did not come to that.
    pub connection: Option<Timed<Result<Connected, Trouble>>>,
    /// The server that was connected to.
    pub server: Option<SocketAddr>,
    /// The TLS handshake: what was shown and agreed on, and why it failed if it did; nothing by plain HTTP, or if it did not
    /// come to that.
    pub handshake: Option<Timed<(Tls, Option<Trouble>)>>,
    /// The request; nothing if it did not come to that.
    pub exchange: Option<Timed<Result<Exchange, Trouble>>>,
    /// The whole, in microseconds.
    pub micros: u64,
}

/// Something with its place in time.
#[derive(Debug)]
pub struct Timed<T> {
    /// When it began, in microseconds since the request began.
    pub begins: u64,
    /// How long it took, in microseconds.
    pub micros: u64,
    /// What came of it.
    pub result: T,
}

/// What can go wrong on a wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Nobody listens at the port.
    Refused,
    /// The other side, or its kernel, cut the connection.
    Reset,
    /// The other side ended the connection before its answer was whole.
    Closed,
    /// Nothing came within so many milliseconds.
    Silent(u64),
    /// There is no way to the address.
    Unreachable(String),
    /// What came is no answer.
    Malformed(String),
    /// The certificate that the other side showed is not believed.
    Doubted(Doubt),
    /// No handshake came about.
    NoTls(String),
}

/// Why a certificate is not believed (RFC 5280 §6, RFC 9525).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// Its time is over.
    Expired,
    /// Its time has not begun.
    NotYet,
    /// It is for others than who was asked for.
    OtherName,
    /// Nobody but itself vouches for it.
    SelfSigned,
    /// It is not known who vouches for it.
    UnknownIssuer,
    /// Something else.
    Other(String),
}

impl Trouble {
    /// What the operating system's error is on the wire.
    pub fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Self::Reset,
            io::ErrorKind::UnexpectedEof => Self::Closed,
            _ => Self::Unreachable(error.to_string()),
        }
    }
}

/// Connects to `server`, of the name `host`, from `client`, and shakes hands with it where somebody is to be trusted for that;
/// waits 5 s at most for the one and 10 s for the other. What is there to be read and written is the same then.
pub async fn open(
    server: SocketAddr,
    client: IpAddr,
    host: &str,
    trust: Option<&Trust>,
) -> Result<Box<dyn Stream>, Trouble> {
    let (_, stream) = connect::connect(server, client).await?;
    match trust {
        None => Ok(Box::new(stream)),
        Some(trust) => seal(stream, host, trust).await.map(|(sealed, _)| Box::new(sealed) as Box<dyn Stream>),
    }
}

/// Shakes hands with `host` over `stream`, for 10 s at most: what is sealed in it, and the number of the certificate that was
/// shown, hexadecimal with colons.
pub async fn seal(
    stream: TcpStream,
    host: &str,
    trust: &Trust,
) -> Result<(impl Stream + use<>, String), Trouble> {
    let (tls, sealed) = handshake::shake(stream, host, trust).await;
    let serial = tls.chain.into_iter().next().map(|own| own.serial).unwrap_or_default();
    Ok((sealed?, serial))
}

/// A connection, or what is sealed in one.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Makes the request and measures.
pub async fn ask(asked: Asked) -> Seen {
    let watch = Stopwatch::start();
    let began = clock::unix_millis();
    let trace = RequestId::draw().as_str().to_owned();
    let mut seen = Seen {
        began,
        trace,
        lookup: None,
        connection: None,
        handshake: None,
        server: None,
        exchange: None,
        micros: 0,
        target: asked.target,
    };
    follow(&mut seen, asked.resolver, asked.client, &asked.trust, &watch).await;
    seen.micros = watch.micros();
    seen
}

/// Goes on as far as it can.
async fn follow(seen: &mut Seen, resolver: SocketAddr, client: IpAddr, trust: &Trust, watch: &Stopwatch) {
    let address = match seen.target.address() {
        Some(address) => address,
        None => {
            let lookup = look_up(resolver, client, &seen.target.host, watch).await;
            let found = lookup.address();
            seen.lookup = Some(lookup);
            let Some(found) = found else { return };
            found
        }
    };
    let server = SocketAddr::new(address, seen.target.port);
    seen.server = Some(server);
    let begins = watch.micros();
    let (result, stream) = match connect::connect(server, client).await {
        Ok((connected, stream)) => (Ok(connected), Some(stream)),
        Err(trouble) => (Err(trouble), None),
    };
    seen.connection = Some(Timed { begins, micros: watch.micros() - begins, result });
    let Some(stream) = stream else { return };
    if !seen.target.secure {
        let begins = watch.micros();
        let result = exchange::exchange(stream, &seen.target, &seen.trace).await;
        seen.exchange = Some(Timed { begins, micros: watch.micros() - begins, result });
        return;
    }
    let begins = watch.micros();
    let (tls, shaken) = handshake::shake(stream, &seen.target.host, trust).await;
    let (sealed, trouble) = match shaken {
        Ok(sealed) => (Some(sealed), None),
        Err(trouble) => (None, Some(trouble)),
    };
    seen.handshake = Some(Timed { begins, micros: watch.micros() - begins, result: (tls, trouble) });
    let Some(sealed) = sealed else { return };
    let begins = watch.micros();
    let result = exchange::exchange(sealed, &seen.target, &seen.trace).await;
    seen.exchange = Some(Timed { begins, micros: watch.micros() - begins, result });
}
