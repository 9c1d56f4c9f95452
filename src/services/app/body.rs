//! A request's body as what it should be: a form or JSON, of bounded length, within bounded time.

use axum::Form;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest as _, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;

use super::arriving::ARRIVES_WITHIN;
use super::refusal::Refusal;

/// Length of a request's body at most, in bytes: the longest message, however a form or JSON writes it.
pub(super) const BODY_LONGEST: usize = 512 * 1024;

/// The body as a form.
pub(super) async fn form<T: DeserializeOwned>(request: Request) -> Result<T, Refusal> {
    let (head, body) = request.into_parts();
    let request = Request::from_parts(head, Body::from(whole(body).await?));
    match Form::from_request(request, &()).await {
        Ok(Form(form)) => Ok(form),
        Err(rejected) => Err(Refusal::NotAForm(rejected.status(), rejected.body_text())),
    }
}

/// The body as JSON.
pub(super) async fn json<T: DeserializeOwned>(request: Request) -> Result<T, Refusal> {
    let (head, body) = request.into_parts();
    let body = whole(body).await?;
    let media_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = media_type.split(';').next().unwrap_or("").trim();
    // Asked for by name: another site's page cannot send it without asking the browser first (Fetch, CORS).
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Refusal::NotJson(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("The body is {media_type:?}, not \"application/json\"."),
        ));
    }
    serde_json::from_slice(&body).map_err(|error| {
        Refusal::NotJson(StatusCode::BAD_REQUEST, format!("The body is not what it should be: {error}."))
    })
}

async fn whole(body: Body) -> Result<Bytes, Refusal> {
    tokio::time::timeout(ARRIVES_WITHIN, read(body)).await.map_err(|_| Refusal::TooSlow)?
}

async fn read(mut body: Body) -> Result<Bytes, Refusal> {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Refusal::NotAForm(StatusCode::BAD_REQUEST, error.to_string()))?;
        let data = frame.data_ref().map_or(&[][..], |data| data);
        if read.len() + data.len() > BODY_LONGEST {
            return Err(Refusal::TooLong(BODY_LONGEST));
        }
        read.extend_from_slice(data);
    }
    Ok(read.into())
}
