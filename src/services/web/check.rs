//! Asks each application server now and then whether it is well, without waiting for a request to fail.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{HOST, HeaderValue, USER_AGENT};
use hyper::http::uri::Uri;
use hyper::{Request, StatusCode};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::pool::Pool;
use super::upload::Upload;
use super::upstream::Upstream;

/// Where it is asked.
pub(super) const PATH: &str = "/healthz";

/// The longest that one may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Checks each of `pool` again and again, `every` so long, until `stop`.
pub(super) fn start(
    pool: &Arc<Pool>,
    host: &HeaderValue,
    every: Duration,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    for (which, upstream) in pool.upstreams() {
        let (pool, upstream, host, stop) = (pool.clone(), upstream.clone(), host.clone(), stop.clone());
        tasks.spawn(async move {
            let checking = async {
                loop {
                    let status = status(&upstream, &host).await;
                    pool.checked(which, status.is_some_and(|status| status.is_success()));
                    sleep(every).await;
                }
            };
            tokio::select! {
                () = checking => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

/// What it answers in time.
pub(super) async fn status(upstream: &Upstream, host: &HeaderValue) -> Option<StatusCode> {
    timeout(PATIENCE, check(upstream, host)).await.ok().flatten()
}

/// What it answers, over a connection of its own: whether it still accepts is part of being well.
async fn check(upstream: &Upstream, host: &HeaderValue) -> Option<StatusCode> {
    let mut line = upstream.connect().await.ok()?;
    let mut request = Request::new(Upload::nothing());
    *request.uri_mut() = Uri::from_static(PATH);
    request.headers_mut().insert(HOST, host.clone());
    request.headers_mut().insert(USER_AGENT, HeaderValue::from_static("wwwlab-check"));
    let asking = async { line.sender.send_request(request).await.map_err(io::Error::other) };
    let answer = upstream.met().await.over(asking, |error| error).await;
    answer.ok().map(|answer| answer.status())
}
