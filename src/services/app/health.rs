//! Two questions of whoever watches the application: is it alive, and can it do its work?
//!
//! They differ on purpose. Restarting an application that is not *alive* helps; restarting one that is not
//! *ready*, because its database is away, does not: it only adds its own outage to the database's.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use super::asked::{Asked, By};
use super::routes::Application;

/// `GET /healthz`: says `ok` as long as the process can answer at all, with or without database.
pub(super) async fn alive() -> impl IntoResponse {
    (Extension(By("health")), "ok\n")
}

/// `GET /readyz`: says `ready` if the database answers now, else 503.
pub(super) async fn ready(
    State(application): State<Arc<Application>>,
    Extension(asked): Extension<Asked>,
) -> Response {
    let pinged = asked.database(application.store().ping()).await;
    let answer = match application.heard(pinged) {
        Ok(()) => "ready\n".into_response(),
        Err(refusal) => refusal.answer(&asked),
    };
    (Extension(By("ready")), answer).into_response()
}
