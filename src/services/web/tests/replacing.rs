//! One application server in another's place: nothing that is under way is lost, and one that is not well does not get it.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::stand::{Application, Stand, get, nobody};
use crate::ground::channel::{Ask, Reply};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn what_began_with_the_former_one_ends_with_it_before_it_is_said_to_be_free() {
    let former = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = former.local_addr().unwrap();
    let next = Application::answering(OK).await;
    let stand = Stand::before(address).await;
    let mut waiting = TcpStream::connect(stand.address()).await.unwrap();
    waiting.write_all(get("/").as_bytes()).await.unwrap();
    let (mut at_work, _) = former.accept().await.unwrap();
    let mut replacing = Box::pin(stand.order(Ask::Replace { former: address, next: next.address }));
    // It is asked whether it is well, and then has all that comes.
    let goes_over = async {
        while stand.ask(&get("/")).await.text() != "ok" {}
        let Reply::Upstreams(states) = stand.order(Ask::Upstreams).await else { panic!() };
        assert_eq!(states[0].address, next.address);
    };
    // Those that still went to the former one are its own: it answers nobody but the first.
    let accepting = async {
        loop {
            let (mut other, _) = former.accept().await.unwrap();
            other.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold").await.unwrap();
        }
    };
    tokio::select! {
        said = &mut replacing => panic!("the former one is still at work: {said:?}"),
        () = accepting => {}
        () = goes_over => {}
    }
    at_work.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate").await.unwrap();
    assert_eq!(replacing.as_mut().await, Reply::Replaced { unfinished: 0 });
    drop(replacing);
    let mut answer = Vec::new();
    waiting.read_to_end(&mut answer).await.unwrap();
    assert!(answer.ends_with(b"late"));
    stand.close_clean().await;
}

#[tokio::test]
async fn who_is_not_well_or_not_there_does_not_get_the_place() {
    let former = Application::answering(OK).await;
    let stand = Stand::before(former.address).await;
    let ill = Application::answering("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").await;
    let (_socket, gone) = nobody();
    for (next, why) in [
        (ill.address, "is not well: asked for /healthz, it said 503"),
        (gone, "is not well: asked for /healthz, it did not answer"),
        (former.address, "are passed on to"),
    ] {
        let Reply::Refused(causes) = stand.order(Ask::Replace { former: former.address, next }).await else {
            panic!("{next} got it")
        };
        assert!(causes[0].contains(why), "{causes:?}");
    }
    let strange = stand.order(Ask::Replace { former: gone, next: ill.address }).await;
    assert!(matches!(strange, Reply::Refused(_)));
    assert_eq!(stand.ask(&get("/")).await.text(), "ok", "the former one serves");
    stand.close_clean().await;
}
