//! Questions of whoever watches the application: is it alive, can it do its work, and who is it that answers?
//!
//! The first two differ on purpose. Restarting an application that is not *alive* helps; restarting one that is not
//! *ready*, because its database is away, does not: it only adds its own outage to the database's.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::asked::{Asked, By};
use super::pages::answer;
use super::refusal::Refusal;
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

/// `GET /whoami`: which server, version and database answer, and who it is that they think asks; behind a balancer
/// it is another one each time.
pub(super) async fn who(
    State(application): State<Arc<Application>>,
    Extension(asked): Extension<Asked>,
) -> Response {
    let made = async {
        let who = Who::learn(&application, &asked).await?;
        Ok(if asked.prefers_json { axum::Json(who).into_response() } else { who.lines().into_response() })
    };
    answer("whoami", &asked, made.await)
}

/// Who answers, and who asks.
#[derive(Debug, Serialize)]
pub(super) struct Who {
    server: String,
    process: u32,
    version: String,
    database: String,
    visitor: String,
    session: Option<String>,
}

impl Who {
    pub(super) async fn learn(application: &Application, asked: &Asked) -> Result<Self, Refusal> {
        let engine = application.heard(asked.database(application.store().engine()).await)?;
        let member = application.member(asked).await?;
        Ok(Self {
            server: application.served_by().to_owned(),
            process: std::process::id(),
            version: application.code().version().to_owned(),
            database: engine.to_string(),
            visitor: asked.journey.visitor.clone(),
            session: member.map(|member| member.name),
        })
    }

    fn lines(&self) -> String {
        format!(
            "server   {}, process {}\nversion  {}\ndatabase {}\nvisitor  {}\nsession  {}\n",
            self.server,
            self.process,
            self.version,
            self.database,
            self.visitor,
            self.session.as_deref().unwrap_or("none")
        )
    }
}
