//! The application with a real MariaDB server: what its pages say of it, with it and without.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::lab::Lab;
use crate::ground::service::Service as _;
use crate::services::mariadb::{MariaDb, PASSWORD};

#[tokio::test]
async fn its_pages_say_which_database_it_is() {
    let server = MariaDb::start(&[]);
    let lab = Lab::up_with_a_server(server.url_file(&server.database())).await;
    let place = format!("MariaDB {} at 127.0.0.1:{}\n", version(&server), server.port);
    let who = lab.get("/whoami").await.body;
    assert!(who.contains(&format!("database {place}")), "{who}");
    let home = lab.get("/").await.body;
    assert!(home.contains(&format!("MariaDB {}", version(&server))), "{home}");
    assert!(home.contains(&format!("127.0.0.1<wbr><span>:{}</span>", server.port)), "{home}");
    assert_eq!(lab.post("name=Ada&message=%F0%9F%A6%80").await.status, 303);
    assert!(lab.get("/guestbook").await.body.contains("🦀</p>"));
    lab.app.close().await;
}

#[tokio::test]
async fn what_is_wrong_with_the_server_is_a_page_and_ends_with_its_cause() {
    let server = Arc::new(MariaDb::start(&[]));
    let file = server.url_file(&server.database());
    let lab = Lab::up_with_a_server(file).await;
    assert_eq!(lab.get("/").await.status, 200);
    let killing = server.clone();
    spawn_blocking(move || killing.kill()).await.unwrap();
    // The first call may still have a connection, and finds it broken.
    let gone = lab.get("/").await;
    let refused = lab.get("/").await;
    for page in [&gone, &refused] {
        assert_eq!(page.status, 503, "{}", page.body);
        assert!(page.body.contains("<strong>database</strong>"), "{}", page.body);
        assert!(page.body.contains(&format!("mysql://127.0.0.1:{}/test_0", server.port)), "{}", page.body);
        assert!(page.body.contains("wwwlab start db") && !page.body.contains(PASSWORD), "{}", page.body);
    }
    assert!(refused.body.contains("refuses connections"), "{}", refused.body);
    assert_eq!(lab.get("/healthz").await.body, "ok\n");
    let restarting = server.clone();
    spawn_blocking(move || restarting.restart()).await.unwrap();
    assert_eq!(lab.get("/readyz").await.body, "ready\n");

    server.stand_still();
    let silent = lab.get("/").await;
    assert!(silent.status == 503 && silent.body.contains("did not answer in time"), "{}", silent.body);
    server.go_on();
    assert_eq!(lab.get("/").await.status, 200);
    lab.app.close().await;
}

fn version(server: &MariaDb) -> String {
    server.sql("SELECT VERSION()").split('-').next().unwrap().to_owned()
}
