//! The application's API, held by schemathesis against the OpenAPI document that it serves: whatever the document
//! allows is taken, whatever it forbids is refused, and every answer is one that it describes.

use std::path::Path;

use super::stage::Stage;

/// A session of its own, so that the answers behind a login are seen as well.
fn log_in(stage: &Stage) -> String {
    let account = r#"{"name":"Ada","password":"correct horse"}"#;
    let said = stage.wwwlab([
        "curl",
        "-si",
        "-H",
        "Content-Type: application/json",
        "-d",
        account,
        "http://www.foobar.com/api/accounts",
    ]);
    assert!(said.out.starts_with("HTTP/1.1 201"), "{said:?}");
    let lower = said.out.to_ascii_lowercase();
    let cookie = lower.lines().find_map(|line| line.strip_prefix("set-cookie: ")).expect("a session");
    cookie.split(';').next().unwrap().to_owned()
}

#[test]
fn the_api_is_what_its_document_says() {
    let schemathesis = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/bin/schemathesis");
    assert!(schemathesis.exists(), "schemathesis is missing: `make test` installs it");
    let stage = Stage::up();
    let secret = log_in(&stage).strip_prefix("session=").unwrap().to_owned();
    let settings = stage.root().join("schemathesis.toml");
    let auth = format!("[auth.openapi.session]\napi_key = \"{secret}\"\n");
    std::fs::write(&settings, auth).unwrap();
    let document = format!("http://127.0.0.1:{}/api/openapi.json", stage.port("http"));
    let run = |options: &[&str]| {
        let common = ["run", &document, "-H", "Host: www.foobar.com", "--seed", "1", "--no-color"];
        let said = stage.run(schemathesis.to_str().unwrap(), common.iter().chain(options));
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
        assert!(said.out.contains("No issues found"), "{}", said.out);
    };
    // Logging out would end the session for the rest.
    run(&["--max-examples", "4", "--exclude-path-regex", "/api/(sessions|accounts)"]);
    // Nothing leads from one of these to another, so there is no conversation to hold.
    let phases = ["--phases", "examples,coverage,fuzzing", "--max-examples", "3"];
    run(&[&phases[..], &["--include-path-regex", "/api/(sessions|accounts)"]].concat());
    // What was refused for being too often proves nothing: each was also done.
    let log = stage.log("app");
    for path in ["/api/accounts", "/api/sessions"] {
        let done = |line: &&str| line.contains("POST") && line.contains(path) && line.contains("→ 201 ");
        // The first account is this test's own.
        let own = usize::from(path == "/api/accounts");
        assert!(log.lines().filter(done).count() > own, "nothing was made at {path}");
    }
    assert_eq!(stage.page("/readyz").0, 200);
}
