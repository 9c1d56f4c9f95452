//! Several application servers: who gets what, who is asked next, who is out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::super::{Config, Member, Policy, StartError, Web};
use super::stand::{Application, Stand, get, nobody};
use crate::ground::channel::{Ask, Reply, UpstreamState};
use crate::ground::service::Service;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const POST: &str =
    "POST / HTTP/1.1\r\nHost: www.foobar.com\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx";

/// Before these, in this order.
async fn before(apps: &[Member], change: impl FnOnce(&mut Config)) -> Stand {
    Stand::start(apps[0].address, |config| {
        config.app = apps.to_vec();
        change(config);
    })
    .await
}

/// An address at which nothing listens, for as long as the tests run.
fn gone() -> Member {
    let (socket, address) = nobody();
    std::mem::forget(socket);
    address.into()
}

async fn states(stand: &Stand) -> Vec<UpstreamState> {
    match stand.order(Ask::Upstreams).await {
        Reply::Upstreams(states) => states,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn requests_go_in_turn_by_weight() {
    let (one, other) = (Application::answering(OK).await, Application::answering(OK).await);
    let apps = [Member { address: one.address, weight: 3 }, other.address.into()];
    let stand = before(&apps, |_| {}).await;
    for _ in 0..8 {
        assert_eq!(stand.ask(&get("/")).await.status, 200);
    }
    assert_eq!((one.requests(), other.requests()), (6, 2));
    let told: Vec<_> = states(&stand)
        .await
        .iter()
        .map(|state| (state.state.clone(), state.requests, state.under_way))
        .collect();
    assert_eq!(told, [("in".to_owned(), 6, 0), ("in".to_owned(), 2, 0)]);
    stand.close_clean().await;
}

#[tokio::test]
async fn a_client_is_always_given_to_the_same() {
    let (one, other) = (Application::answering(OK).await, Application::answering(OK).await);
    let stand =
        before(&[one.address.into(), other.address.into()], |config| config.balance = Policy::Hash).await;
    for _ in 0..6 {
        stand.ask(&get("/")).await;
    }
    assert!([(6, 0), (0, 6)].contains(&(one.requests(), other.requests())));
}

#[tokio::test]
async fn the_one_with_the_fewest_requests_under_way_is_next() {
    let busy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let free = Application::answering(OK).await;
    let apps = [busy.local_addr().unwrap().into(), free.address.into()];
    let stand = before(&apps, |config| config.balance = Policy::LeastConnections).await;
    let mut waiting = TcpStream::connect(stand.address()).await.unwrap();
    waiting.write_all(get("/").as_bytes()).await.unwrap();
    let (mut at_work, _) = busy.accept().await.unwrap();
    for _ in 0..5 {
        assert_eq!(stand.ask(&get("/")).await.status, 200);
    }
    assert_eq!(free.requests(), 5);
    at_work.write_all(OK.as_bytes()).await.unwrap();
    waiting.read_to_end(&mut Vec::new()).await.unwrap();
}

#[tokio::test]
async fn who_cannot_be_reached_costs_nobody_an_answer() {
    let (dead, alive) = (gone(), Application::echoing().await);
    let mut stand = before(&[dead, alive.address.into()], |_| {}).await;
    for _ in 0..6 {
        assert_eq!(stand.ask(POST).await.text(), "x", "nothing was sent to who was not there");
    }
    assert_eq!(alive.requests(), 6);
    let states = states(&stand).await;
    assert_eq!((states[0].state.as_str(), states[0].failures_in_a_row), ("out", 3));
    assert!(states[0].out_millis.is_some_and(|left| left <= 1000));
    assert_eq!(states[0].requests, 3, "who is out is not asked");
    let told = stand.told(6).await;
    let out = format!("the application server at {} failed again and again: it is out for 1s", dead.address);
    assert!(told.iter().any(|line| line.contains(&out)), "{told:?}");
}

#[tokio::test]
async fn when_all_are_gone_each_is_named_and_asked_again_the_next_time() {
    let (back, address) = nobody();
    let apps = [gone(), address.into()];
    let stand = before(&apps, |_| {}).await;
    for _ in 0..5 {
        let answer = stand.ask(&get("/")).await;
        assert_eq!(answer.status, 502);
        assert!(answer.text().contains("None of the 2 application servers could be asked"));
        for app in apps {
            assert!(answer.text().contains(&format!("{} refuses connections", app.address)));
        }
    }
    // It is back: the next request finds it, out or not.
    let again = back.listen(1).unwrap();
    let mut client = TcpStream::connect(stand.address()).await.unwrap();
    client.write_all(get("/").as_bytes()).await.unwrap();
    let (mut app, _) = again.accept().await.unwrap();
    app.write_all(OK.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 OK"));
    assert_eq!(states(&stand).await[1].state, "in");
}

/// RFC 9110 §9.2.2.
#[tokio::test]
async fn what_was_lost_is_repeated_elsewhere_only_where_that_changes_nothing() {
    let (silent, other) = (Application::answering("").await, Application::answering(OK).await);
    let apps = [silent.address.into(), other.address.into()];
    assert_eq!(before(&apps, |_| {}).await.ask(&get("/")).await.status, 200);
    assert_eq!((silent.requests(), other.requests()), (1, 1));
    assert_eq!(before(&apps, |_| {}).await.ask(POST).await.status, 502);
    assert_eq!((silent.requests(), other.requests()), (2, 1));
    // Once, not again and again.
    let more = Application::answering("").await;
    let apps = [silent.address.into(), more.address.into(), other.address.into()];
    assert_eq!(before(&apps, |_| {}).await.ask(&get("/")).await.status, 502);
    assert_eq!((silent.requests(), more.requests(), other.requests()), (3, 1, 1));
    // Something of an answer was seen.
    let half = Application::answering("HTTP/1.1 200 O\r\nConnection: close").await;
    let apps = [half.address.into(), other.address.into()];
    assert_eq!(before(&apps, |_| {}).await.ask(&get("/")).await.status, 502);
    assert_eq!((half.requests(), other.requests()), (1, 1));
}

#[tokio::test]
async fn checks_take_one_out_and_bring_it_back() {
    let ill = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let well = Application::answering(OK).await;
    let apps = [ill.local_addr().unwrap().into(), well.address.into()];
    let mut stand = before(&apps, |config| config.app_check = Some(Duration::from_millis(10))).await;
    let is_well = AtomicBool::new(false);
    // Every time that it is asked, also where whoever asked has lost its patience.
    let answering = async {
        loop {
            let (mut app, _) = ill.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n")
                && let Ok(byte) = app.read_u8().await
            {
                head.push(byte);
            }
            if head.is_empty() {
                continue;
            }
            assert!(head.starts_with(b"GET /healthz HTTP/1.1\r\nhost: www.foobar.com\r\n"));
            let unwell = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
            let answer = if is_well.load(Ordering::Relaxed) { OK } else { unwell };
            let _ = app.write_all(answer.as_bytes()).await;
        }
    };
    let asking = async {
        assert!(stand.told(1).await[0].contains("fails its checks: it is out"));
        assert_eq!(states(&stand).await[0].state, "fails checks");
        assert_eq!(stand.ask(&get("/")).await.status, 200);
        is_well.store(true, Ordering::Relaxed);
        assert!(stand.told(2).await.iter().any(|line| line.contains("is back")));
    };
    tokio::select! {
        never = answering => never,
        () = asking => {}
    }
    drop(ill);
    stand.close_clean().await;
}

#[tokio::test]
async fn each_is_named_once_and_few_enough() {
    let directory = tempfile::tempdir().unwrap();
    let address = gone();
    for apps in
        [vec![address, address], (1..=17).map(|port| ([127, 0, 0, 1], port).into()).map(addressed).collect()]
    {
        let mut config = super::stand::config(directory.path(), address.address);
        config.app = apps;
        let (journal, _told) = crate::ground::journal::journal();
        assert!(matches!(Web::start(config, journal).await, Err(StartError::Apps { .. })));
    }
}

fn addressed(address: std::net::SocketAddr) -> Member {
    address.into()
}
