//! PHP by FastCGI: a real php-fpm behind the lab's web server.

use std::fs;

use super::own_app::{example, is_a_guestbook};
use super::stage::until;

#[test]
fn the_php_example_is_a_guestbook_by_fastcgi() {
    let stage = example("php");
    stage.wwwlab(["up", "-d"]).ok();
    is_a_guestbook(&stage);
    until("php-fpm's words are in the log", || stage.log("app").contains("ready to handle connections"));

    let echo = stage.page("/echo?a=b&c").1;
    for line in [
        "REQUEST_URI=/echo?a=b&c",
        "REMOTE_ADDR=127.0.0.1",
        "SERVER_NAME=www.foobar.com",
        "QUERY_STRING=a=b&c",
    ] {
        assert!(echo.contains(line), "{line}: {echo}");
    }
    assert_eq!(stage.page("/../../etc/passwd").0, 404);

    stage.wwwlab(["stop", "db"]).ok();
    assert_eq!(stage.page("/").0, 503);
    until("what it complains of is told", || {
        stage.log("web").contains("the application complains: PHP message: the database:")
    });
    stage.wwwlab(["start", "db"]).ok();
    assert_eq!(stage.page("/").0, 200);

    stage.wwwlab(["stop", "app"]).ok();
    assert_eq!(stage.page("/").0, 502);
}

#[test]
fn large_bodies_go_both_ways() {
    let stage = example("php");
    stage.wwwlab(["up", "-d"]).ok();
    let body: Vec<u8> = (0..900_000_u32).map(|number| u8::try_from(number % 251).unwrap()).collect();
    fs::write(stage.root().join("body"), body).unwrap();
    let sum = stage.run("md5sum", ["body"]).ok();
    let sum = sum.split_whitespace().next().unwrap();
    let said = stage
        .curl("--data-binary @body -H Content-Type:application/octet-stream http://www.foobar.com/echo")
        .ok();
    assert!(said.contains(&format!("BODY={sum}")), "{said}");
    let chunked = "-i --data-binary @body -H Transfer-Encoding:chunked http://www.foobar.com/echo";
    assert!(stage.curl(chunked).ok().contains(" 411 "), "a script is told a length, or nothing");

    fs::write(stage.root().join("php/index.php"), "<?php echo str_repeat('0123456789', 300000);").unwrap();
    let page = stage.curl("http://www.foobar.com/").ok();
    assert!(page.ends_with("0123456789") && page.matches("0123456789").count() == 300_000, "{}", page.len());
}

/// PHP keeps what it has compiled, of files that are older than two seconds, and looks two seconds later whether they have
/// changed, unless it is told to look each time.
#[test]
fn a_script_that_is_saved_is_run_at_the_next_request() {
    let stage = example("php");
    let script = stage.root().join("php/index.php");
    // Where nothing is kept, this could not fail.
    fs::write(&script, "<?php echo extension_loaded('Zend OPcache') ? 'kept' : 'not kept', ', as it was';")
        .unwrap();
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    fs::File::options().write(true).open(&script).unwrap().set_modified(long_ago).unwrap();
    stage.wwwlab(["up", "-d"]).ok();
    assert_eq!(stage.curl("http://www.foobar.com/").ok(), "kept, as it was");
    fs::write(&script, "<?php echo 'as it is';").unwrap();
    assert_eq!(stage.curl("http://www.foobar.com/").ok(), "as it is");
}
