//! Accounts, sessions, and what only their owners may do; by form and by API.

use serde_json::Value;

use super::lab::{Answer, Lab};
use crate::ground::service::Service as _;
use crate::services::app::Sessions;

const FORM: &str = "Content-Type: application/x-www-form-urlencoded";
const JSON: &str = "Content-Type: application/json";

/// Who is logged in: the cookie to send, and the token in the forms.
struct Session {
    cookie: String,
    token: String,
}

impl Lab {
    async fn send(&self, path: &str, form: &str, headers: &[&str]) -> Answer {
        let headers: Vec<_> = [FORM].iter().chain(headers).copied().collect();
        self.ask(&format!("POST {path}"), &headers, form).await
    }

    async fn register(&self, name: &str) -> Session {
        let registered = self.send("/register", &format!("name={name}&password=correct+horse"), &[]).await;
        assert_eq!(registered.status, 303, "{}", registered.body);
        self.session(&registered).await
    }

    async fn session(&self, entered: &Answer) -> Session {
        let cookie = entered.header("set-cookie").unwrap();
        let cookie = format!("Cookie: {}", cookie.split(';').next().unwrap());
        let page = self.ask("GET /guestbook", &[&cookie], "").await.body;
        let token = page.split("name=\"token\" value=\"").nth(1).unwrap();
        Session { cookie, token: token.split('"').next().unwrap().to_owned() }
    }
}

#[tokio::test]
async fn only_its_owner_edits_and_deletes_an_entry() {
    let lab = Lab::up().await;
    let (ada, bob) = (lab.register("Ada").await, lab.register("Bob").await);
    let form = format!("message=hers&name=Bob&token={}", ada.token);
    assert_eq!(lab.send("/guestbook", &form, &[&ada.cookie]).await.status, 303);
    let page = lab.ask("GET /guestbook/1", &[&ada.cookie], "").await.body;
    assert!(page.contains("Ada</h3>") && page.contains("/guestbook/1/edit"), "{page}");
    assert!(!lab.ask("GET /guestbook/1", &[&bob.cookie], "").await.body.contains("/edit"));

    for deed in ["edit", "delete"] {
        let path = format!("/guestbook/1/{deed}");
        let his = format!("message=his&token={}", bob.token);
        assert_eq!(lab.send(&path, &his, &[&bob.cookie]).await.status, 403);
        assert_eq!(lab.send(&path, &his, &[]).await.status, 403, "nobody's");
        let hers = format!("message=his&token={}", bob.token);
        assert_eq!(lab.send(&path, &hers, &[&ada.cookie]).await.status, 403, "another session's form");
        assert_eq!(lab.send(&path, "message=his", &[&ada.cookie]).await.status, 403, "no token");
    }
    for id in ["2", "-1", "x", "99999999999999999999", "%ff"] {
        assert_eq!(lab.get(&format!("/guestbook/{id}")).await.status, 404, "{id}");
    }
    assert!(lab.get("/guestbook/1").await.body.contains("hers</p>"));

    let form = format!("message=new&token={}", ada.token);
    let edited = lab.send("/guestbook/1/edit", &form, &[&ada.cookie]).await;
    assert_eq!((edited.status, edited.header("location")), (303, Some("/guestbook/1#saved")));
    let page = lab.get("/guestbook/1").await.body;
    assert!(page.contains("new</p>") && page.contains("edited <time"), "{page}");
    let deleted = lab.send("/guestbook/1/delete", &format!("token={}", ada.token), &[&ada.cookie]).await;
    assert_eq!(deleted.status, 303);
    assert_eq!(lab.get("/guestbook/1").await.status, 404);
    lab.app.close().await;
}

#[tokio::test]
async fn sessions_in_memory_are_of_one_process_and_those_in_the_database_of_all() {
    for (place, is_known) in [(Sessions::Memory, false), (Sessions::Database, true)] {
        let first = Lab::with(|config| config.sessions = place).await;
        let database = first.database();
        let second = Lab::with(|config| {
            config.sessions = place;
            config.database = Some(database);
        });
        let second = second.await;
        let ada = first.register("Ada").await;
        assert!(first.ask("GET /whoami", &[&ada.cookie], "").await.body.contains("session  Ada\n"));
        let elsewhere = second.ask("GET /whoami", &[&ada.cookie], "").await.body;
        assert_eq!(elsewhere.contains("session  Ada\n"), is_known, "{elsewhere}");
        let form = format!("token={}", ada.token);
        assert_eq!(first.send("/logout", &form, &[&ada.cookie]).await.status, 303);
        assert!(first.ask("GET /whoami", &[&ada.cookie], "").await.body.contains("session  none\n"));
        first.app.close().await;
        second.app.close().await;
    }
}

#[tokio::test]
async fn a_session_ends_with_the_logout_and_its_secret_is_not_in_the_database() {
    let lab = Lab::up().await;
    let ada = lab.register("Ada").await;
    assert!(lab.ask("GET /whoami", &[&ada.cookie], "").await.body.contains("session  Ada\n"));
    let secret = ada.cookie.split('=').nth(1).unwrap().to_owned();
    let file = std::fs::read(lab.database()).unwrap();
    for hidden in [secret.as_str(), "correct horse"] {
        assert!(!file.windows(hidden.len()).any(|bytes| bytes == hidden.as_bytes()), "{hidden}");
    }
    assert_eq!(lab.send("/logout", "token=", &[&ada.cookie]).await.status, 403);
    let left = lab.send("/logout", &format!("token={}", ada.token), &[&ada.cookie]).await;
    assert!(left.header("set-cookie").unwrap().contains("Max-Age=0"), "{}", left.head);
    assert!(lab.ask("GET /whoami", &[&ada.cookie], "").await.body.contains("session  none\n"));
    lab.app.close().await;
}

#[tokio::test]
async fn over_tls_the_cookie_is_secured() {
    let lab = Lab::up().await;
    let tls = ["Via: 1.1 wwwlab", "X-Forwarded-For: 192.0.2.10", "X-Forwarded-Proto: https"];
    let registered = lab.send("/register", "name=Ada&password=correct+horse", &tls).await;
    let cookie = registered.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-session=") && cookie.ends_with("; Secure"), "{cookie}");
    lab.app.close().await;
}

#[tokio::test]
async fn a_wrong_password_is_told_like_an_unknown_name_and_not_often() {
    let lab = Lab::up().await;
    lab.register("Ada").await;
    let taken = lab.send("/register", "name=ADA&password=correct+horse", &[]).await;
    assert_eq!(taken.status, 409, "{}", taken.body);
    assert_eq!(lab.send("/register", "name=Bob&password=short", &[]).await.status, 422);
    let sentence = "There is no account by this name with this password.";
    for name in ["Ada", "Nobody"] {
        let refused = lab.send("/login", &format!("name={name}&password=wrong+horse"), &[]).await;
        assert!(refused.status == 403 && refused.body.contains(sentence), "{}", refused.body);
        assert_eq!(refused.header("set-cookie"), None);
    }
    for _ in 0..4 {
        lab.send("/login", "name=ada&password=wrong+horse", &[]).await;
    }
    let refused = lab.send("/login", "name=Ada&password=correct+horse", &[]).await;
    assert_eq!(refused.status, 429, "{}", refused.body);
    assert!((1..=30).contains(&refused.header("retry-after").unwrap().parse::<u32>().unwrap()));
    lab.app.close().await;
}

#[tokio::test]
async fn another_sites_page_changes_nothing() {
    let lab = Lab::up().await;
    let form = "name=Eve&message=forged";
    for origin in ["Origin: http://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site"] {
        assert_eq!(lab.send("/guestbook", form, &[origin]).await.status, 403, "{origin}");
        let json = r#"{"name":"Eve","message":"forged"}"#;
        assert_eq!(lab.ask("POST /api/entries", &[JSON, origin], json).await.status, 403, "{origin}");
    }
    assert!(!lab.get("/guestbook").await.body.contains("forged"));
    let own = lab.send("/guestbook", "name=Ada&message=own", &["Origin: http://www.foobar.com"]).await;
    assert_eq!(own.status, 303);
    assert_eq!(lab.ask("POST /api/entries", &["Content-Type: text/plain"], "{}").await.status, 415);
    lab.app.close().await;
}

#[tokio::test]
async fn a_text_of_64_kilobytes_is_kept_whole_and_listed_in_part() {
    let lab = Lab::up().await;
    let text = "é".repeat(32 * 1024);
    assert_eq!(lab.post(&format!("name=Ada&message={}", "%C3%A9".repeat(32 * 1024))).await.status, 303);
    assert!(lab.get("/guestbook/1").await.body.contains(&text));
    let list = lab.get("/guestbook").await.body;
    assert!(!list.contains(&text) && list.contains("Read all of it"), "{}", list.len());
    lab.app.close().await;
}

#[tokio::test]
async fn programs_get_the_guestbook_as_json() {
    let lab = Lab::up().await;
    for number in 1..=3 {
        let entry = format!(r#"{{"name":"Ada","message":"number {number}"}}"#);
        let signed = lab.ask("POST /api/entries", &[JSON], &entry).await;
        assert_eq!(signed.status, 201, "{}", signed.body);
        assert_eq!(signed.header("location"), Some(format!("/api/entries/{number}").as_str()));
    }
    let first = lab.ask("GET /guestbook?limit=2&search=number", &["Accept: application/json"], "").await;
    let first: Value = serde_json::from_str(&first.body).unwrap();
    assert_eq!((&first["entries"][0]["id"], &first["newer"]), (&3.into(), &Value::Null));
    let older = first["older"].as_str().unwrap();
    assert_eq!(older, "/api/entries?search=number&before=2&limit=2");
    let second: Value = serde_json::from_str(&lab.get(older).await.body).unwrap();
    assert_eq!((&second["entries"][0]["id"], &second["older"]), (&1.into(), &Value::Null));
    for (path, status) in
        [("/api/entries?limit=0", 422), ("/api/entries?before=x", 422), ("/api/nothing", 404)]
    {
        let refused = lab.get(path).await;
        assert_eq!(refused.status, status, "{path}");
        assert_eq!(refused.header("content-type"), Some("application/problem+json"), "{path}");
    }
    lab.app.close().await;
}
