//! The guestbook's pages: listed and searched, page by page; one entry; what comes of signing, editing, deleting.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use minijinja::{Value, context};

use super::asked::Asked;
use super::deeds::{Member, Numbered};
use super::listing::{Listing, Sought};
use super::members::moved;
use super::pages::{answer, page};
use super::refusal::Refusal;
use super::routes::Application;
use super::signing::{Form, MESSAGE_LONGEST, NAME_LONGEST, Problems};
use super::{api, body};
use crate::ground::clock;
use crate::services::database::{Entry, SEARCH_LONGEST};

/// Entries on one page.
const PAGE: u32 = 20;

/// As much of a message is shown in a list, in characters; the rest on its own page.
const LISTED_LONGEST: usize = 1000;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// `GET /guestbook`: a page of entries and the form; for programs the same as `/api/entries`.
pub(super) async fn list(
    State(application): State<Arc<Application>>,
    Extension(asked): Extension<Asked>,
    query: Result<Query<Sought>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let made = async {
        let Query(sought) = query.map_err(|rejected| Refusal::Unfit(rejected.body_text()))?;
        if asked.prefers_json {
            return api::listed(&application, &asked, sought).await;
        }
        let member = application.member(&asked).await?;
        let (form, problems) = Default::default();
        book(&application, &asked, member.as_ref(), sought, &form, &problems).await
    };
    answer("guestbook", &asked, made.await)
}

/// `POST /guestbook`: keeps what the form says, or shows it again with what is wrong with it.
pub(super) async fn sign(
    State(application): State<Arc<Application>>,
    Extension(asked): Extension<Asked>,
    request: Request,
) -> Response {
    let made = async {
        let mut form: Form = body::form(request).await?;
        let member = application.member(&asked).await?;
        if let Some(member) = &member {
            member.vouches(&form.token)?;
            form.name.clone_from(&member.name);
        }
        match form.checked() {
            Ok(signed) => {
                application.sign(&asked, &signed, member.as_ref()).await?;
                Ok(moved("/guestbook#signed", None))
            }
            Err(problems) => {
                let sought = Sought::default();
                book(&application, &asked, member.as_ref(), sought, &form, &problems).await
            }
        }
    };
    answer("sign", &asked, made.await)
}

/// `GET /guestbook/{id}`: one entry, whole.
pub(super) async fn one(
    State(application): State<Arc<Application>>,
    Extension(asked): Extension<Asked>,
    Numbered(id): Numbered,
) -> Response {
    let made = async {
        let entry = application.entry(&asked, &id).await?;
        if asked.prefers_json {
            return Ok(axum::Json(api::shown(&entry)).into_response());
        }
        let member = application.member(&asked).await?;
        let values = context! { entry => shown(&entry, member.as_ref(), usize::MAX) };
        page(&application, member.as_ref(), "entry-page.html", values)
    };
    answer("entry", &asked, made.await)
}

/// `GET /guestbook/{id}/edit`: the form that edits or deletes one's own entry.
pub(super) async fn edit_form(
    State(application): State<Arc<Application>>,
    Extension(asked): Extension<Asked>,
    Numbered(id): Numbered,
) -> Response {
    let made = async {
        let entry = application.entry(&asked, &id).await?;
        let member = application.member(&asked).await?;
        let own = member.as_ref().filter(|member| entry.owner == Some(member.account));
        let own = own.ok_or(Refusal::NotYours)?;
        edit_page(&application, own, &id, &entry.message, None)
    };
    answer("edit", &asked, made.await)
}

/// `POST /guestbook/{id}/edit`: keeps another message of one's own entry.
pub(super) async fn edit(
    State(application): State<Arc<Application>>,
    Extension(asked): Extension<Asked>,
    Numbered(id): Numbered,
    request: Request,
) -> Response {
    let made = async {
        let mut form: Form = body::form(request).await?;
        let member = application.member(&asked).await?.ok_or(Refusal::NotYours)?;
        member.vouches(&form.token)?;
        form.name.clone_from(&member.name);
        match form.checked() {
            Ok(checked) => {
                application.edit(&asked, &id, Some(&member), &checked.message).await?;
                Ok(moved(&format!("/guestbook/{id}#saved"), None))
            }
            Err(problems) => edit_page(&application, &member, &id, &form.message, problems.message),
        }
    };
    answer("edit", &asked, made.await)
}

/// `POST /guestbook/{id}/delete`: deletes one's own entry.
pub(super) async fn delete(
    State(application): State<Arc<Application>>,
    Extension(asked): Extension<Asked>,
    Numbered(id): Numbered,
    request: Request,
) -> Response {
    let made = async {
        let form: Form = body::form(request).await?;
        let member = application.member(&asked).await?.ok_or(Refusal::NotYours)?;
        member.vouches(&form.token)?;
        application.delete(&asked, &id, Some(&member)).await?;
        Ok(moved("/guestbook#deleted", None))
    };
    answer("delete", &asked, made.await)
}

async fn book(
    application: &Application,
    asked: &Asked,
    member: Option<&Member>,
    sought: Sought,
    form: &Form,
    problems: &Problems,
) -> Result<Response, Refusal> {
    let listing = Listing::of(sought, PAGE)?;
    let found = listing.find(application, asked).await?;
    let entries: Vec<_> = found.entries.iter().map(|entry| shown(entry, member, LISTED_LONGEST)).collect();
    let values = context! {
        entries,
        search => listing.search.as_str(),
        search_longest => SEARCH_LONGEST,
        older => found.older.map(|place| listing.link("/guestbook", place)),
        newer => found.newer.map(|place| listing.link("/guestbook", place)),
        name => form.name.as_str(),
        message => form.message.as_str(),
        name_problem => problems.name.as_deref(),
        message_problem => problems.message.as_deref(),
        name_longest => NAME_LONGEST,
        message_longest => MESSAGE_LONGEST,
    };
    let status =
        if *problems == Problems::default() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    Ok((status, page(application, member, "guestbook.html", values)?).into_response())
}

fn edit_page(
    application: &Application,
    member: &Member,
    id: &str,
    message: &str,
    problem: Option<String>,
) -> Result<Response, Refusal> {
    let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let values = context! { id, message, message_problem => problem, message_longest => MESSAGE_LONGEST };
    Ok((status, page(application, Some(member), "edit.html", values)?).into_response())
}

/// An entry as templates read it, its message no longer than `longest` characters.
pub(super) fn shown(entry: &Entry, member: Option<&Member>, longest: usize) -> Value {
    let end = entry.message.char_indices().nth(longest).map(|(end, _)| end);
    let message = end.and_then(|end| entry.message.get(..end)).unwrap_or(&entry.message);
    let (written, edited) = (clock::rfc3339(entry.written_at), entry.edited_at.map(clock::rfc3339));
    context! {
        id => entry.id,
        name => entry.name.as_str(),
        message,
        is_cut => end.is_some(),
        is_of_member => entry.owner.is_some(),
        is_own => member.is_some_and(|member| entry.owner == Some(member.account)),
        written_shown => minute(&written),
        edited_shown => edited.as_deref().map(minute),
        written,
        edited,
    }
}

/// A time (RFC 3339) to the minute, for people: `21 November 2026, 23:34`.
fn minute(time: &str) -> String {
    let part = |from, to| time.get(from..to);
    let month = part(5, 7)
        .and_then(|month| month.parse::<usize>().ok())
        .and_then(|month| MONTHS.get(month.wrapping_sub(1)));
    match (part(0, 4), month, part(8, 10), part(11, 16)) {
        (Some(year), Some(month), Some(day), Some(minute)) => {
            format!("{} {month} {year}, {minute}", day.trim_start_matches('0'))
        }
        _ => time.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_as_people_say_it() {
        assert_eq!(minute("2026-01-01T00:00:00Z"), "1 January 2026, 00:00");
        assert_eq!(minute("2026-12-31T23:59:59.5Z"), "31 December 2026, 23:59");
        for odd in ["", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "é"] {
            assert_eq!(minute(odd), odd);
        }
    }
}
