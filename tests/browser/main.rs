//! The pages of www.foobar.com in a real browser, as those who use it meet them: by mouse, by keyboard, by ear, in the
//! dark, on a telephone.
//!
//! Headless Chromium and its driver are Debian's. Each test has a lab and a browser of its own, and leaves pictures in
//! `target/screenshots`. No page may ask another origin for anything, nor have a line in the browser's console.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a failing test shows the lab's logs")]

mod driver;
#[path = "../whole/stage.rs"]
#[allow(dead_code, reason = "the stage of the other tests; these need a part of it")]
mod stage;

use serde_json::{Value, json};

use self::driver::{Browser, ENTER, TAB};
use self::stage::{Stage, until};

/// What is wrong with a page for whoever does not use it with good eyes and a mouse.
const ACCESSIBLE: &str = include_str!("accessible.js");

#[test]
fn a_visitor_registers_signs_edits_searches_and_deletes() {
    let (stage, browser) = up();
    browser.visit("/guestbook");
    browser.fill("#name", "Eve");
    browser.fill("#message", "I pass by.\nשלום 🦀 e\u{301}");
    browser.click("form[action='/guestbook'] button");
    assert!(browser.text().contains("I pass by."), "{}", browser.text());
    assert!(browser.text().contains("Thank you.") && !browser.text().contains("You are logged"));
    assert!(browser.script("return !document.querySelector('a[href$=\"/edit\"]')", &[]) == true);

    browser.click("a[href='/login']");
    browser.click("a[href='/register']");
    browser.fill("#name", "Ada");
    browser.fill("#password", "correct horse");
    browser.click("main button");
    assert_eq!(browser.place(), "/guestbook#welcome");
    assert!(browser.text().contains("You are logged in."));
    assert!(browser.text().contains("Log out Ada") && browser.text().contains("You sign as Ada"));
    browser.fill("#message", "<b>Mine</b>");
    browser.click("form[action='/guestbook'] button");
    browser.click("a[href$='/edit']");
    browser.picture("edit");
    assert_eq!(wrong(&browser), json!([]));
    browser.fill("#message", "Mine, edited");
    browser.click("form[action$='/edit'] button");
    assert!(browser.text().contains("Mine, edited") && browser.text().contains(", edited "));
    assert!(browser.text().contains("Saved."), "{}", browser.text());

    browser.visit("/guestbook");
    browser.fill("#search", "EDITED");
    browser.click("form[role='search'] button");
    assert!(browser.place().contains("search=EDITED"));
    assert!(browser.text().contains("Mine, edited") && !browser.text().contains("I pass by."));
    browser.picture("search");
    browser.click("a[href$='/edit']");
    browser.click("form[action$='/delete'] button");
    assert!(browser.text().contains("I pass by.") && !browser.text().contains("Mine, edited"));

    browser.click(".logout button");
    assert!(!browser.text().contains("Log out"));
    browser.visit("/login");
    browser.fill("#name", "ada");
    browser.fill("#password", "wrong horse");
    browser.click("main button");
    assert!(browser.text().contains("no account by this name with this password"));
    browser.picture("login-refused");
    assert_eq!(wrong(&browser), json!([]));
    browser.fill("#password", "correct horse");
    browser.click("main button");
    assert!(browser.text().contains("Log out Ada"));
    // The browser reports each answer above 399 to its console; this one was meant.
    is_quiet(&browser, &["403"]);
    drop(stage);
}

#[test]
fn a_keyboard_is_enough() {
    let (_stage, browser) = up();
    browser.visit("/guestbook");
    browser.press(TAB);
    assert_eq!(focused(&browser), "Skip to the content");
    assert!(browser.script("return document.activeElement.getBoundingClientRect().left >= 0", &[]) == true);
    browser.press(ENTER);
    // From the content on: name, message, button.
    browser.press(TAB);
    browser.press("Grace");
    browser.press(TAB);
    browser.press("By keyboard");
    browser.press(TAB);
    assert_eq!(focused(&browser), "Sign");
    let outline = "return getComputedStyle(document.activeElement).outlineStyle";
    assert_eq!(browser.script(outline, &[]), "solid", "the focus is seen");
    browser.leaving(|| browser.press(ENTER));
    assert!(browser.text().contains("By keyboard"), "{}", browser.text());
    is_quiet(&browser, &[]);
}

#[test]
fn pages_follow_one_another_both_ways() {
    let (stage, browser) = up();
    for number in 1..=45 {
        let message = format!("message=number {number}.");
        stage
            .wwwlab(["curl", "-s", "-d", "name=Ada", "-d", &message, "http://www.foobar.com/guestbook"])
            .ok();
    }
    browser.visit("/guestbook");
    let has = |number: u32| browser.text().contains(&format!("number {number}."));
    assert!(has(45) && has(26) && !has(25));
    browser.click("a[rel='next']");
    assert!(has(25) && has(6) && !has(5) && !has(26));
    browser.click("a[rel='next']");
    assert!(has(5) && has(1) && !has(6));
    assert!(browser.script("return !document.querySelector('a[rel=next]')", &[]) == true);
    browser.click("a[rel='prev']");
    assert!(has(25) && has(6) && !has(26));
    browser.picture("pages");
    is_quiet(&browser, &[]);
}

#[test]
fn every_page_is_accessible_in_light_and_dark_wide_and_narrow() {
    let (stage, browser) = up();
    let long = format!("message={}", "A long message, in many words. ".repeat(60));
    for message in
        ["message=Hello, lab!", "message=שלום עולם 🦀", "message=unbreakable".repeat(12).as_str(), &long]
    {
        stage.wwwlab(["curl", "-s", "-d", "name=Ada", "-d", message, "http://www.foobar.com/guestbook"]).ok();
    }
    let pages = [
        ("home", "/"),
        ("guestbook", "/guestbook"),
        ("signed", "/guestbook#signed"),
        ("entry", "/guestbook/4"),
        ("nothing-found", "/guestbook?search=nothing"),
        ("login", "/login"),
        ("register", "/register"),
        ("about", "/about.html"),
        ("not-found-app", "/nosuch"),
        ("not-found-web", "/assets/nosuch"),
    ];
    for scheme in ["light", "dark"] {
        // 320 is what is left of a wide window at four times its size (WCAG 1.4.10).
        for width in [1280, 768, 360, 320] {
            let motion = if width == 768 { "reduce" } else { "no-preference" };
            browser.shows(width, &[("prefers-color-scheme", scheme), ("prefers-reduced-motion", motion)]);
            for (name, path) in pages {
                browser.visit(path);
                assert_eq!(wrong(&browser), json!([]), "{path}, {scheme}, {width} wide");
                if matches!(width, 1280 | 360) {
                    browser.picture(&format!("{name}-{scheme}-{width}"));
                }
            }
        }
        let paper = "return getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0] < 128";
        assert_eq!(browser.script(paper, &[]), scheme == "dark", "{scheme}");
    }
    is_quiet(&browser, &["404"]);
}

#[test]
fn the_diagram_names_every_part_that_answered_to_the_ear_as_to_the_eye() {
    let (stage, browser) = up();
    let address = |name: &str| stage.service(name)["address"].as_str().unwrap().to_owned();
    browser.visit("/");
    let heard = browser.heard().join("\n");
    let (_, path) = heard.split_once("\nlist Who answered this very request\n").expect(&heard);
    let mut rest = path;
    for said in [
        "StaticText You",
        "StaticText 127.0.0.1",
        "StaticText asked for www.foobar.com",
        "StaticText Name lookup",
        "StaticText www.foobar.com",
        "StaticText Web server",
        "StaticText Application server",
        "StaticText Database",
        "StaticText SQLite 3.",
    ] {
        (_, rest) = rest.split_once(said).unwrap_or_else(|| panic!("{said} is not said in turn: {path}"));
    }
    let seen = browser.script("return document.querySelector('.path').innerText", &[]);
    let seen = seen.as_str().unwrap();
    for address in [address("web"), address("app")] {
        assert!(seen.contains(&address), "{address} in {seen}");
    }
    let id = browser.script("return document.querySelector('.facts code').textContent", &[]);
    assert_eq!(id.as_str().unwrap().len(), 32);
    // The way forks at the visitor, who asks for the address and then for the page.
    let over = "return Array.from(document.querySelectorAll('.path .over'), over => over.textContent)";
    let asked =
        ["reached by you over DNS", "reached by you over HTTP", "reached over HTTP", "reached over SQL"];
    assert_eq!(browser.script(over, &[]), json!(asked));
    browser.shows(1280, &[]);
    let fork = "const [you, lookup, web] = Array.from(document.querySelectorAll('.path > li'), \
                part => part.getBoundingClientRect()); \
                return [you.right < lookup.left, lookup.left == web.left, you.bottom == web.bottom]";
    assert_eq!(browser.script(fork, &[]), json!([true, true, true]));
    // No number is broken in the middle, however narrow.
    for width in [1280, 960, 768, 360, 320] {
        browser.shows(width, &[]);
        let lines = "return Array.from(document.querySelectorAll('.address > span'), port => port.getClientRects().length)";
        assert_eq!(browser.script(lines, &[]), json!([1, 1]), "{width} wide");
    }
    is_quiet(&browser, &[]);
}

#[test]
fn what_fails_is_marked_on_the_path() {
    let (stage, browser) = up();
    let marked = "return Array.from(document.querySelectorAll('ol .bad'), part => part.innerText)";
    let faults: [(&[&str], &str, &str, &str); 3] = [
        (&["stop", "db"], "503", "Database\nfailed here", "database-gone"),
        (&["start", "db"], "", "", ""),
        (&["stop", "app"], "502", "Application\nfailed here", "application-gone"),
    ];
    for (command, status, part, name) in faults {
        stage.wwwlab(command).ok();
        for scheme in ["light", "dark"].into_iter().filter(|_| !status.is_empty()) {
            for width in [1280, 320] {
                browser.shows(width, &[("prefers-color-scheme", scheme)]);
                browser.visit("/");
                assert!(browser.text().starts_with(status), "{}", browser.text());
                assert_eq!(browser.script(marked, &[]), json!([part]), "{}", browser.text());
                assert_eq!(wrong(&browser), json!([]), "{name}, {scheme}, {width} wide");
                browser.picture(&format!("{name}-{scheme}-{width}"));
            }
        }
    }
    is_quiet(&browser, &["502", "503"]);
}

#[test]
fn what_is_wrong_with_a_form_is_said_beside_its_field() {
    let (_stage, browser) = up();
    browser.visit("/register");
    // What the browser would see itself is sent all the same: the application says it too.
    browser.script("document.querySelector('main form').noValidate = true", &[]);
    browser.fill("#name", "a b");
    browser.fill("#password", "short");
    browser.click("main button");
    for (field, problem) in [("name", "letters, digits"), ("password", "at least 8 characters")] {
        let said = browser.script(
            "const field = document.getElementById(arguments[0]);
             return field.ariaInvalid === 'true' && document.getElementById(field.getAttribute('aria-describedby').split(' ')[0]).innerText",
            &[json!(field)],
        );
        assert!(said.as_str().is_some_and(|said| said.contains(problem)), "{field}: {said}");
    }
    assert_eq!(wrong(&browser), json!([]));
    browser.picture("register-refused");
    browser.visit("/guestbook");
    browser.script("document.querySelector('main form').noValidate = true", &[]);
    browser.fill("#message", "By nobody");
    browser.click("form[action='/guestbook'] button");
    assert!(
        browser.text().contains("The name is empty.") && browser.text().contains("Nothing was kept yet.")
    );
    assert_eq!(wrong(&browser), json!([]));
    browser.picture("guestbook-refused");
    is_quiet(&browser, &["422"]);
}

#[test]
fn no_text_breaks_the_layout() {
    let (stage, browser) = up();
    let long = format!("message={}", "W".repeat(60_000));
    let file = stage.root().join("long");
    std::fs::write(&file, long).unwrap();
    stage.wwwlab(["curl", "-s", "-d", "name=Ada", "-d", "@long", "http://www.foobar.com/guestbook"]).ok();
    let names = ["W".repeat(80), "ש".repeat(80), "🦀".repeat(80), "e\u{301}".repeat(40)];
    for name in &names {
        let (name, message) = (format!("name={name}"), "message=עברית and English\u{202e} 🦀🦀🦀");
        stage.wwwlab(["curl", "-s", "-d", &name, "-d", message, "http://www.foobar.com/guestbook"]).ok();
    }
    for width in [1280, 320] {
        browser.shows(width, &[]);
        for path in ["/", "/guestbook", "/guestbook/1", "/guestbook/2", "/guestbook/3", "/guestbook/4"] {
            browser.visit(path);
            assert_eq!(wrong(&browser), json!([]), "{path}, {width} wide");
        }
        browser.visit("/guestbook");
        browser.picture(&format!("odd-texts-{width}"));
    }
    is_quiet(&browser, &[]);
}

#[test]
fn nothing_of_a_browser_outlives_it() {
    let mut browser = Browser::open(9);
    let profile = browser.profile();
    assert!(Browser::alive(&profile) > 0, "it is seen while it runs");
    browser.kill_driver();
    until("Chromium to end after its driver", || Browser::alive(&profile) == 0);
    drop(browser);

    let browser = Browser::open(9);
    let profile = browser.profile();
    drop(browser);
    until("all to end with the test", || Browser::alive(&profile) == 0);
}

/// A lab and a browser that knows where it is.
fn up() -> (Stage, Browser) {
    let stage = Stage::up();
    let browser = Browser::open(stage.port("http"));
    (stage, browser)
}

fn wrong(browser: &Browser) -> Value {
    browser.script(ACCESSIBLE, &[])
}

fn focused(browser: &Browser) -> String {
    let text = browser.script("return document.activeElement.textContent.trim()", &[]);
    text.as_str().unwrap().to_owned()
}

/// Nothing was written to the console, but of answers with these statuses, and nobody else was asked for anything.
#[track_caller]
fn is_quiet(browser: &Browser, statuses: &[&str]) {
    for line in browser.log("browser") {
        let text = line["message"].as_str().unwrap();
        assert!(statuses.iter().any(|status| text.contains(&format!("status of {status} "))), "{line}");
    }
    let mut asked = 0;
    for entry in browser.log("performance") {
        let entry: Value = serde_json::from_str(entry["message"].as_str().unwrap()).unwrap();
        if entry["message"]["method"] == "Network.requestWillBeSent" {
            let url = entry["message"]["params"]["request"]["url"].as_str().unwrap();
            // Its own first page, before it is told where to go, is inside the browser.
            let inside = url.starts_with("chrome://") || url.starts_with("data:");
            assert!(inside || url.starts_with("http://www.foobar.com:"), "asked {url}");
            asked += usize::from(!inside);
        }
    }
    assert!(asked > 0, "the log of requests is kept");
}
