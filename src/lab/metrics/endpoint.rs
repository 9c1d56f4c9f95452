//! Where a collector comes for the metrics: `GET /metrics`, and `GET /metrics/SERVICE`, over HTTP/1.1 (RFC 9112).
//!
//! Only there where `lab.toml` asks for it. It says how things stand and changes nothing, so whoever reaches its address may
//! ask. One request a connection, and few of them at a time: a collector comes every few seconds.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::ground::metrics::text::{MEDIA_TYPE, text};
use crate::lab::desk::Desk;
use crate::lab::hosts::ServiceName;

/// Connections at a time; more wait to be accepted.
const CONNECTIONS_MOST: usize = 16;
/// How long a head may take to come, and a connection from its beginning to its end.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
const ALL_WITHIN: Duration = Duration::from_secs(15);
/// The longest head, in bytes.
const HEAD_LONGEST: usize = 16 * 1024;
/// A pause when nothing can be accepted (no descriptors left), so that this does not burn the processor.
const REST: Duration = Duration::from_millis(100);

/// Answers until `end`.
pub(in crate::lab) async fn serve(listener: TcpListener, desk: Arc<Desk>, end: CancellationToken) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            () = end.cancelled() => break,
            Some(_) = open.join_next() => {}
            accepted = listener.accept(), if open.len() < CONNECTIONS_MOST => match accepted {
                Ok((stream, _)) => {
                    open.spawn(timeout(ALL_WITHIN, converse(stream, desk.clone())));
                }
                Err(_) => sleep(REST).await,
            },
        }
    }
    open.shutdown().await;
}

async fn converse(stream: TcpStream, desk: Arc<Desk>) {
    let answer = service_fn(|request: Request<Incoming>| {
        let desk = desk.clone();
        async move {
            let asked = read(request.method(), request.uri().path());
            Ok::<_, Infallible>(match asked {
                Ok(service) => match desk.metrics(service).await {
                    Ok(families) => response(StatusCode::OK, text(&families)),
                    Err(causes) => response(StatusCode::NOT_FOUND, causes.join(": ") + "\n"),
                },
                Err((status, why)) => response(status, why),
            })
        }
    });
    // How it ends is the collector's business.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_LONGEST)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer)
        .await;
}

/// Whose metrics are asked for, without a name those of all; or why nothing is answered.
fn read(method: &Method, path: &str) -> Result<Option<ServiceName>, (StatusCode, String)> {
    let unknown =
        || (StatusCode::NOT_FOUND, "there is /metrics, and /metrics/SERVICE: /metrics/web\n".into());
    let service = match path {
        "/metrics" => None,
        _ => {
            let name = path.strip_prefix("/metrics/").ok_or_else(unknown)?;
            Some(name.parse().map_err(|()| unknown())?)
        }
    };
    match *method {
        Method::GET | Method::HEAD => Ok(service),
        _ => Err((StatusCode::METHOD_NOT_ALLOWED, "metrics can be read, and that is all: GET\n".into())),
    }
}

fn response(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let media_type = if status == StatusCode::OK { MEDIA_TYPE } else { "text/plain; charset=utf-8" };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_read_from_method_and_path() {
        assert_eq!(read(&Method::GET, "/metrics"), Ok(None));
        assert_eq!(read(&Method::HEAD, "/metrics/web"), Ok(Some(ServiceName::Web)));
        for path in
            ["/", "", "*", "/metrics/", "/metrics/nobody", "/metrics/web/", "/metricsweb", "//metrics"]
        {
            assert_eq!(read(&Method::GET, path).unwrap_err().0, StatusCode::NOT_FOUND, "{path}");
        }
        assert_eq!(read(&Method::POST, "/metrics").unwrap_err().0, StatusCode::METHOD_NOT_ALLOWED);
        assert!(response(StatusCode::METHOD_NOT_ALLOWED, String::new()).headers().contains_key(ALLOW));
    }
}
