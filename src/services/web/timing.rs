//! Where a request's time went, for the browser's network panel: `Server-Timing` (W3C).

use std::time::Duration;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

/// The header.
pub(super) const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// This server's own time, before those that the application told: `web;dur=0.21, app;dur=1.5, db;dur=0.4`.
pub(super) fn add_own(headers: &mut HeaderMap, own: Duration) {
    // In milliseconds, to the hundredth.
    let hundredths = (own.as_micros() + 5) / 10;
    let mut timing = format!("web;dur={}.{:02}", hundredths / 100, hundredths % 100);
    let told = headers.get_all(SERVER_TIMING).iter();
    for value in told.filter_map(|value| value.to_str().ok()) {
        timing.push_str(", ");
        timing.push_str(value);
    }
    if let Ok(timing) = HeaderValue::try_from(timing) {
        headers.insert(SERVER_TIMING, timing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_time_comes_first_and_the_others_stay() {
        let mut headers = HeaderMap::new();
        headers.append(SERVER_TIMING, HeaderValue::from_static("app;dur=1.5, db;dur=0.4"));
        headers.append(SERVER_TIMING, HeaderValue::from_static("x"));
        add_own(&mut headers, Duration::from_micros(214));
        let all: Vec<_> = headers.get_all(SERVER_TIMING).iter().collect();
        assert_eq!(all, ["web;dur=0.21, app;dur=1.5, db;dur=0.4, x"]);
    }
}
